import type { SqlEntityManager } from '@mikro-orm/sql';
import { findAccountOfUser, findAccountsOfUsers } from './accounts/account.repository.js';
import type { AccountLinking } from './accounts/account-linking.js';
import { describeScopes } from './accounts/consented-scope.js';
import type { UserLookup } from './accounts/user-lookup.js';
import { AccountNotFoundError, NotLinkedError } from './errors.js';
import type { RequestContext, TokenSummary, Viewer } from './graphql/context.js';
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
export function createRequestContexts(parts: SharedParts): (viewer: Viewer | undefined) => RequestContext {
  const { em, vault, linking, lookUpUser } = parts;
  return (viewer) => {
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
    return {
      viewer,
      user,
      accountsOf: (id) => accounts.load(id),
      tokensOf: async (accountId): Promise<TokenSummary> => {
        const state = await tokens.load(accountId);
        if (!state) throw new NotLinkedError();
        return { ...state, scopes: parseScope(state.scope) };
      },
      describeScopes,
      beginLink: async (request) => linking.begin(request, await userId()),
      completeLink: async (url, linkToken) => linking.complete(url, linkToken, await userId()),
      takeOverTokens: async (obtained) => linking.takeOver(obtained, await userId()),
      unlink: async (accountId) => linking.unlink(await requireUserId(), accountId),
      renewAccessToken: async (accountId, minTtlSeconds) => {
        const by = accountId === undefined ? identityOf(viewer) : { id: accountId };
        const account = await findAccountOfUser(em.fork(), await requireUserId(), by);
        if (!account) throw new AccountNotFoundError();
        return { account, ...(await vault.accessToken(account.id, minTtlSeconds)) };
      },
    };
  };
}

function identityOf(viewer: Viewer | undefined): { issuer: string; sub: string } {
  if (!viewer) throw new NotLinkedError();
  return { issuer: viewer.issuer, sub: viewer.sub };
}
