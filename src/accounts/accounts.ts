import type { SqlEntityManager } from '@mikro-orm/sql';
import type { RollupClient } from '../rollup/rollup-client.js';
import type { VerifierOptions } from '../rollup/token-verifier.js';
import type { TokenState } from '../token-set.js';
import type { TokenCipher } from '../vault/token-cipher.js';
import type { TokenVault } from '../vault/token-vault.js';
import { type AccountRecord, findAccountsOfUsers, type Identity } from './account.repository.js';
import { AccountLinking, type LinkingDeps } from './account-linking.js';
import type { AccountsSettings } from './settings.js';
import { type RenewedToken, renewAccessToken } from './token-renewal.js';
import { createUserLookup, type UserLookup } from './user-lookup.js';
import { UserinfoReader, type UserinfoReaderDeps } from './userinfo-reader.js';

/** The facade of the room: what a request may do with users and their linked identities. */
export interface Accounts {
  readonly linking: AccountLinking;
  readonly userinfo: UserinfoReader;
  readonly lookUpUser: UserLookup;
  /** Linked identities of several users in one statement, oldest first. */
  findAccounts(userIds: readonly string[]): Promise<AccountRecord[]>;
  findTokenStates(accountIds: readonly string[]): Promise<TokenState[]>;
  /** See `renewAccessToken`. */
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
    renew: (userId, which, minTtlSeconds) => renewAccessToken(em.fork(), vault, userId, which, minTtlSeconds),
  };
}
