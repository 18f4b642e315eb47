import type { SqlEntityManager } from '@mikro-orm/sql';
import { AccountNotFoundError } from '../errors.js';
import type { RollupClient } from '../rollup/rollup-client.js';
import type { VerifierOptions } from '../rollup/token-verifier.js';
import type { FreshAccessToken, TokenState } from '../token-set.js';
import type { TokenCipher } from '../vault/token-cipher.js';
import type { TokenVault } from '../vault/token-vault.js';
import {
  type AccountRecord,
  findAccountOfUser,
  findAccountsOfUsers,
  type Identity,
} from './account.repository.js';
import { AccountLinking, type LinkingDeps } from './account-linking.js';
import type { AccountsSettings } from './settings.js';
import { createUserLookup, type UserLookup } from './user-lookup.js';
import { UserinfoReader, type UserinfoReaderDeps } from './userinfo-reader.js';

/** A fresh access token of an account, for its own user. */
export type RenewedToken = FreshAccessToken & { readonly account: AccountRecord };

/** The facade of the room: what a request may do with users and their linked identities. */
export interface Accounts {
  readonly linking: AccountLinking;
  readonly userinfo: UserinfoReader;
  readonly lookUpUser: UserLookup;
  /** Linked identities of several users in one statement, oldest first. */
  findAccounts(userIds: readonly string[]): Promise<AccountRecord[]>;
  findTokenStates(accountIds: readonly string[]): Promise<TokenState[]>;
  /**
   * Renews the access token of an account of the user: the one named, or the one of the identity that is calling.
   *
   * Throws `AccountNotFoundError` for an account of another user, and what `TokenVault.accessToken` throws.
   */
  renew(
    userId: string,
    which: { readonly id: string } | Identity,
    minTtlSeconds: number,
  ): Promise<RenewedToken>;
}

/** What the room depends on. `em` is forked for every use. */
export interface AccountsDeps extends Pick<LinkingDeps, 'onFailure' | 'onRevokeFailure' | 'onChange'> {
  readonly em: SqlEntityManager;
  readonly client: RollupClient;
  readonly verifier: VerifierOptions;
  readonly vault: TokenVault;
  readonly cipher: TokenCipher;
  readonly redirectUris: readonly string[];
  readonly onUserinfoFailure: UserinfoReaderDeps['onFailure'];
}

export function createAccounts(
  settings: AccountsSettings,
  { onUserinfoFailure, ...deps }: AccountsDeps,
): Accounts {
  const { em, client, vault, verifier } = deps;
  return {
    linking: new AccountLinking({ ...deps, ...settings }),
    userinfo: new UserinfoReader({ client, vault, onFailure: onUserinfoFailure }),
    lookUpUser: createUserLookup(em, verifier.issuer.issuer),
    findAccounts: (userIds) => findAccountsOfUsers(em.fork(), userIds),
    findTokenStates: (accountIds) => vault.states(em.fork(), accountIds),
    renew: async (userId, which, minTtlSeconds) => {
      const account = await findAccountOfUser(em.fork(), userId, which);
      if (!account) throw new AccountNotFoundError();
      return { account, ...(await vault.accessToken(account.id, minTtlSeconds)) };
    },
  };
}
