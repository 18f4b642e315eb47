import { batchedLookup } from '../batched.js';
import { AccountNotFoundError, NotLinkedError } from '../errors.js';
import type { FreshAccessToken, TokenState } from '../token-set.js';
import {
  type AccountRecord,
  findAccountOfUser,
  findAccountsOfUsers,
  findLinkedIdentities,
  type Identity,
} from './account.repository.js';
import { AccountLinking, type LinkingDeps } from './account-linking.js';
import type { AccountsSettings } from './settings.js';
import { findUsersBySub, type UserRecord } from './user.repository.js';
import { UserinfoReader } from './userinfo-reader.js';

/** A fresh access token of an account, for its own user. */
export type RenewedToken = FreshAccessToken & { readonly account: AccountRecord };

/** The facade of the room: what a request may do with users and their linked identities. */
export interface Accounts {
  readonly linking: AccountLinking;
  readonly userinfo: UserinfoReader;
  /** The user of an identity at the issuer; undefined when it is not linked. */
  readonly lookUpUser: (sub: string) => Promise<UserRecord | undefined>;
  /** Linked identities of several users in one statement, oldest first. */
  findAccounts(userIds: readonly string[]): Promise<AccountRecord[]>;
  findTokenStates(accountIds: readonly string[]): Promise<TokenState[]>;
  /**
   * Renews the access token of the identity that is calling, or of another account of its user.
   *
   * Throws `NotLinkedError` for an identity that is not linked, `AccountNotFoundError` for an account of another user,
   * and what `TokenVault.accessToken` throws.
   */
  renew(caller: Identity, accountId: string | undefined, minTtlSeconds: number): Promise<RenewedToken>;
}

/** What the room depends on. `em` is forked for every use. */
export type AccountsDeps = Omit<LinkingDeps, keyof AccountsSettings | 'findIdentity'>;

export function createAccounts(settings: AccountsSettings, deps: AccountsDeps): Accounts {
  const { em, client, vault, verifier, onUserinfoFailure } = deps;
  const { issuer } = verifier.issuer;
  const bySub = ({ sub }: { readonly sub: string }): string => sub;
  const findIdentity = batchedLookup(
    (subs) => findLinkedIdentities(em.fork(), issuer, subs, vault.joinStored),
    ({ account }) => account.sub,
  );
  return {
    linking: new AccountLinking({ ...deps, ...settings, findIdentity }),
    userinfo: new UserinfoReader({ em, client, vault, onFailure: onUserinfoFailure }),
    lookUpUser: batchedLookup((subs) => findUsersBySub(em.fork(), issuer, subs), bySub),
    findAccounts: (userIds) => findAccountsOfUsers(em.fork(), userIds),
    findTokenStates: (accountIds) => vault.states(em.fork(), accountIds),
    renew: async (caller, accountId, minTtlSeconds) => {
      const own = await findIdentity(caller.sub);
      if (!own) throw new NotLinkedError();
      const isOwn = accountId === undefined || accountId === own.account.id;
      const { account, stored } = isOwn
        ? own
        : { account: await findAccountOfUser(em.fork(), own.account.userId, accountId), stored: undefined };
      if (!account) throw new AccountNotFoundError();
      return { account, ...(await vault.accessToken(account.id, minTtlSeconds, stored)) };
    },
  };
}
