import { AccountNotFoundError } from '../errors.js';
import type { Tokens } from '../token-set.js';
import { deleteAccount, findAccountOfUser, lockAccount } from './account.repository.js';
import {
  beginLink,
  type BegunLink,
  type LinkAttemptDeps,
  type LinkRequest,
  redeemLink,
} from './link-attempt.js';
import { type CompletedLink, type StoreDeps, storeLink } from './store-link.js';
import { verifyTakenOver } from './take-over.js';
import { deleteUnreachableUser, lockUser } from './user.repository.js';

/** What linking depends on. */
export interface LinkingDeps extends LinkAttemptDeps, StoreDeps {
  /** Receives the error of every failed link. */
  readonly onFailure: (error: unknown) => void;
}

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
      return storeLink(this.#deps, link.grant, link.userId);
    });
  }

  /** Takes over tokens that were obtained elsewhere, with the same checks as `complete`. See `verifyTakenOver`. */
  takeOver(tokens: Tokens, userId?: string): Promise<CompletedLink> {
    return this.#reporting(async () =>
      storeLink(this.#deps, await verifyTakenOver(this.#deps, tokens, userId), userId, tokens),
    );
  }

  /**
   * Ends a link: the tokens are erased with the account, and then revoked in the background where the provider has an
   * endpoint for it. A user without any identity left is deleted with the account.
   *
   * Throws `AccountNotFoundError` when the account is not this user's.
   */
  async unlink(userId: string, accountId: string): Promise<void> {
    const { transact, vault, onChange } = this.#deps;
    const canRevoke = await vault.revocations.isPossible();
    const { account, isAdded } = await transact(accountId, async (tx) => {
      const found = await findAccountOfUser(tx, userId, accountId);
      if (!found) throw new AccountNotFoundError();
      // The account is locked before its tokens, as by a link.
      const isAdded =
        canRevoke && (await lockAccount(tx, accountId)) && (await vault.revocations.addStored(tx, accountId));
      if (!(await deleteAccount(tx, userId, accountId))) throw new AccountNotFoundError();
      if (await lockUser(tx, userId)) await deleteUnreachableUser(tx, userId);
      return { account: found, isAdded };
    });
    onChange('unlinked', account);
    if (isAdded) vault.revocations.run();
  }

  async #reporting<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      this.#deps.onFailure(error);
      throw error;
    }
  }
}
