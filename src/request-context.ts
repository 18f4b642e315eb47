import type { SqlEntityManager } from '@mikro-orm/sql';
import { findAccountOfUser, findAccountsOfUsers } from './accounts/account.repository.js';
import type { AccountLinking, CompletedLink } from './accounts/account-linking.js';
import { describeScopes } from './accounts/consented-scope.js';
import type { UserLookup } from './accounts/user-lookup.js';
import { AccountNotFoundError, NotLinkedError } from './errors.js';
import type { RequestContext, RequestSurroundings, TokenSummary, Viewer } from './graphql/context.js';
import { loadMany, loadOne } from './graphql/loaders.js';
import { parseScope } from './vault/token-set.js';
import type { TokenVault } from './vault/token-vault.js';

/** What all requests share. */
export interface SharedParts {
  readonly em: SqlEntityManager;
  readonly vault: TokenVault;
  readonly linking: AccountLinking;
  readonly lookUpUser: UserLookup;
}

/** Makes the context of one request: loaders of its own, entity managers forked when used. */
export function createRequestContexts(
  parts: SharedParts,
): (viewer: Viewer | undefined, request: RequestSurroundings) => RequestContext {
  const { em, vault, linking, lookUpUser } = parts;
  return (viewer, { address, signal }) => {
    const accounts = loadMany(
      (ids) => findAccountsOfUsers(em.fork(), ids),
      (account) => account.userId,
    );
    const tokens = loadOne(
      (ids) => vault.states(em.fork(), ids),
      (state) => state.accountId,
    );
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
      accountsOf: (id) => accounts.load(id),
      tokensOf: async (accountId): Promise<TokenSummary> => {
        const state = await tokens.load(accountId);
        if (!state) throw new NotLinkedError();
        return { ...state, scopes: parseScope(state.scope) };
      },
      describeScopes,
      beginLink: async (request) => linking.begin(request, await userId()),
      completeLink: async (url, linkToken) => present(await linking.complete(url, linkToken, await userId())),
      takeOverTokens: async (obtained) => present(await linking.takeOver(obtained, await userId())),
      unlink: async (accountId) => linking.unlink(await requireUserId(), accountId),
      renewAccessToken: async (accountId, minTtlSeconds) => {
        const by = accountId === undefined ? identityOf(viewer) : { id: accountId };
        const account = await findAccountOfUser(em.fork(), await requireUserId(), by);
        if (!account) throw new AccountNotFoundError();
        return { account, ...(await vault.accessToken(account.id, minTtlSeconds)) };
      },
    };
    // The tokens of a link were presented with it: what they allow may be read in its answer.
    function present(link: CompletedLink): CompletedLink {
      const { issuer, sub } = link.account;
      presented = { issuer, sub, scopes: link.scopes };
      return link;
    }
  };
}

function identityOf(viewer: Viewer | undefined): { issuer: string; sub: string } {
  if (!viewer) throw new NotLinkedError();
  return { issuer: viewer.issuer, sub: viewer.sub };
}
