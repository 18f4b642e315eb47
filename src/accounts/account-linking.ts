import { UniqueConstraintViolationException } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { AccountNotFoundError, LinkedToAnotherUserError, LinkNotFoundError } from '../errors.js';
import { type Grant, verifyGrant } from '../rollup/grant.js';
import type { Tokens, TokenSet } from '../token-set.js';
import type { TokenVault } from '../vault/token-vault.js';
import {
  type AccountRecord,
  addGrantedScopes,
  deleteAccount,
  findAccountOfUser,
  insertAccount,
  lockAccount,
} from './account.repository.js';
import {
  beginLink,
  type BegunLink,
  type LinkAttemptDeps,
  type LinkRequest,
  redeemLink,
} from './link-attempt.js';
import {
  deleteUnreachableUser,
  insertUser,
  lockUser,
  updatePerson,
  type UserRecord,
} from './user.repository.js';

/** A completed link, and the access token of the identity for its own user. */
export interface CompletedLink extends Pick<TokenSet, 'accessToken' | 'accessTokenExpiresAt' | 'scopes'> {
  readonly user: UserRecord;
  readonly account: AccountRecord;
  readonly isNewUser: boolean;
}

/** What linking depends on. */
export interface LinkingDeps extends LinkAttemptDeps {
  readonly vault: TokenVault;
  /** Receives the error of every failed link. */
  readonly onFailure: (error: unknown) => void;
  /** Called when the refresh token of an unlinked account could not be revoked. */
  readonly onRevokeFailure: (accountId: string, error: unknown) => void;
  readonly onChange: (change: 'linked' | 'unlinked', account: AccountRecord) => void;
}

const MAX_ATTEMPTS = 5;

/** Begins, completes and ends links. No row changes unless the whole link succeeds. */
export class AccountLinking {
  readonly #deps: LinkingDeps;

  constructor(deps: LinkingDeps) {
    this.#deps = deps;
  }

  /** See `beginLink`. */
  begin(request: LinkRequest, address: string, userId?: string): Promise<BegunLink> {
    return this.#reporting(() => beginLink(this.#deps, request, address, userId));
  }

  /** Completes a link that was begun. Throws what `redeemLink` throws, and `LinkedToAnotherUserError`. */
  complete(url: string, linkToken: string, userId?: string): Promise<CompletedLink> {
    return this.#reporting(async () => {
      const link = await redeemLink(this.#deps, url, linkToken, userId);
      return this.#store(link.grant, link.userId);
    });
  }

  /** Takes over tokens that were obtained elsewhere, with the same checks as `complete`. */
  takeOver(tokens: Tokens, userId?: string): Promise<CompletedLink> {
    return this.#reporting(async () => {
      const grant = await verifyGrant(tokens, this.#deps.client, this.#deps.verifier);
      return this.#store(grant, userId);
    });
  }

  /**
   * Ends a link: the tokens are erased with the account, and then revoked where the provider has an endpoint for it; a
   * failure there changes nothing. A user without any identity left is deleted with the account.
   *
   * Throws `AccountNotFoundError` when the account is not this user's.
   */
  async unlink(userId: string, accountId: string): Promise<void> {
    const { transact, vault, onChange, onRevokeFailure } = this.#deps;
    const { account, revoke } = await transact(accountId, async (tx) => {
      const found = await findAccountOfUser(tx, userId, { id: accountId });
      const revocation = found && (await vault.prepareRevocation(tx, accountId));
      if (!found || !(await deleteAccount(tx, userId, accountId))) throw new AccountNotFoundError();
      if (await lockUser(tx, userId)) await deleteUnreachableUser(tx, userId);
      return { account: found, revoke: revocation };
    });
    onChange('unlinked', account);
    await revoke?.().catch((error: unknown) => onRevokeFailure(accountId, error));
  }

  async #reporting<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      this.#deps.onFailure(error);
      throw error;
    }
  }

  /** Of two concurrent links of one identity the unique (issuer, sub) rejects the second, which is retried and finds the first. */
  async #store(grant: Grant, userId: string | undefined): Promise<CompletedLink> {
    for (let tries = 1; ; tries += 1) {
      try {
        const rows = `${grant.issuer} ${grant.sub}`;
        const link = await this.#deps.transact(rows, (tx) => this.#storeOnce(tx, grant, userId));
        this.#deps.onChange('linked', link.account);
        return link;
      } catch (error) {
        if (!(error instanceof UniqueConstraintViolationException) || tries >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  async #storeOnce(tx: SqlEntityManager, grant: Grant, userId: string | undefined): Promise<CompletedLink> {
    const known = await lockAccount(tx, grant);
    if (known && userId !== undefined && known.userId !== userId) throw new LinkedToAnotherUserError();
    // The caller's user may have been deleted with its last identity since the link began.
    if (!known && userId !== undefined && !(await lockUser(tx, userId))) throw new LinkNotFoundError();
    const owner = known?.userId ?? userId ?? (await insertUser(tx));
    const { id } = known ?? (await insertAccount(tx, owner, { issuer: grant.issuer, sub: grant.sub }));
    const account = await addGrantedScopes(tx, id, grant.tokens.scopes);
    const user = await updatePerson(tx, owner, grant.person);
    await this.#deps.vault.put(tx, account.id, grant.tokens);
    const { accessToken, accessTokenExpiresAt, scopes } = grant.tokens;
    const isNewUser = !known && userId === undefined;
    return { user, account, isNewUser, accessToken, accessTokenExpiresAt, scopes };
  }
}
