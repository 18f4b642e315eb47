import type { SqlEntityManager } from '@mikro-orm/sql';
import { type AccountRecord, findAccountOfUser, findAccountsOfUsers } from './accounts/account.repository.js';
import type { AccountLinking, CompletedLink } from './accounts/account-linking.js';
import type { GalaxyReader } from './galaxy/galaxy-reader.js';
import type { UserLookup } from './accounts/user-lookup.js';
import type { UserinfoReader } from './accounts/userinfo-reader.js';
import {
  AccountNotFoundError,
  ConsentMissingError,
  NotLinkedError,
  ReauthenticationRequiredError,
} from './errors.js';
import type { RequestContext, RequestInfo, Viewer } from './graphql/context.js';
import { loadEach, loadMany, loadOne } from './graphql/loaders.js';
import type { DescribeScopes } from './graphql/scope-descriptions.js';
import { missingScopes } from './scope.js';
import type { TokenState } from './token-set.js';
import type { TokenVault } from './vault/token-vault.js';

/** What all requests share. */
export interface SharedParts {
  readonly em: SqlEntityManager;
  readonly vault: TokenVault;
  readonly linking: AccountLinking;
  readonly lookUpUser: UserLookup;
  readonly galaxy: GalaxyReader;
  readonly userinfo: UserinfoReader;
  readonly describeScopes: DescribeScopes;
}

/** Makes the context of one request: loaders of its own, entity managers forked when used. */
export function createRequestContexts(
  parts: SharedParts,
): (viewer: Viewer | undefined, request: RequestInfo) => RequestContext {
  const { em, vault, linking, lookUpUser, galaxy, describeScopes } = parts;
  return (viewer, { address, signal }) => {
    let load = createLoaders(parts);
    const tokensOf = async (accountId: string): Promise<TokenState> => {
      const state = await load.tokens.load(accountId);
      if (!state) throw new NotLinkedError();
      return state;
    };
    const user: RequestContext['user'] = async () => (viewer ? lookUpUser(viewer.sub) : undefined);
    const userId = async (): Promise<string | undefined> => (await user())?.id;
    const requireUserId = async (): Promise<string> => {
      const id = await userId();
      if (id === undefined) throw new NotLinkedError();
      return id;
    };
    let presented: Viewer | undefined;
    return {
      viewer: () => presented ?? viewer,
      address,
      signal,
      user,
      accountsOf: (id) => load.accounts.load(id),
      tokensOf,
      describeScopes,
      galaxyOf: async (account, required) => {
        requireConsent(await tokensOf(account.id), required);
        return load.galaxy(account);
      },
      userinfoOf: async (account, required) => {
        requireConsent(await tokensOf(account.id), required);
        return load.userinfo(account);
      },
      beginLink: async (request) => linking.begin(request, await userId()),
      completeLink: async (url, linkToken) => present(await linking.complete(url, linkToken, await userId())),
      takeOverTokens: async (obtained) => present(await linking.takeOver(obtained, await userId())),
      unlink: async (accountId) => {
        await linking.unlink(await requireUserId(), accountId);
        galaxy.invalidate(accountId);
        load = createLoaders(parts);
      },
      renewAccessToken: async (accountId, minTtlSeconds) => {
        const by = accountId === undefined ? identityOf(viewer) : { id: accountId };
        const account = await findAccountOfUser(em.fork(), await requireUserId(), by);
        if (!account) throw new AccountNotFoundError();
        const renewed = { account, ...(await vault.accessToken(account.id, minTtlSeconds)) };
        load = createLoaders(parts);
        return renewed;
      },
    };
    // The tokens of a link were presented with it: what they allow may be read in its answer.
    function present(link: CompletedLink): CompletedLink {
      const { issuer, sub } = link.account;
      presented = { issuer, sub, scopes: link.scopes };
      load = createLoaders(parts);
      return link;
    }
  };
}

/** Each asks once for all that is wanted in the same tick, and remembers it until a mutation changes something. */
function createLoaders({ em, vault, galaxy, userinfo }: SharedParts) {
  return {
    accounts: loadMany(
      (ids) => findAccountsOfUsers(em.fork(), ids),
      (account) => account.userId,
    ),
    tokens: loadOne(
      (ids) => vault.states(em.fork(), ids),
      (state) => state.accountId,
    ),
    galaxy: loadEach(({ id }: AccountRecord) => galaxy.read(id).catch(unlinkedMeanwhile)),
    userinfo: loadEach((account: AccountRecord) => userinfo.read(account).catch(unlinkedMeanwhile)),
  };
}

/**
 * What is fetched with an account's own tokens needs their consent too: a user's identities may have consented to
 * different things. Throws `ReauthenticationRequiredError` or `ConsentMissingError`.
 */
function requireConsent({ status, scopes }: TokenState, required: readonly string[]): void {
  if (status !== 'ACTIVE') throw new ReauthenticationRequiredError();
  const missing = missingScopes(required, scopes);
  if (missing.length > 0) throw new ConsentMissingError(required, missing);
}

function unlinkedMeanwhile(error: unknown): never {
  throw error instanceof AccountNotFoundError ? new NotLinkedError() : error;
}

function identityOf(viewer: Viewer | undefined): { issuer: string; sub: string } {
  if (!viewer) throw new NotLinkedError();
  return { issuer: viewer.issuer, sub: viewer.sub };
}
