import type { SqlEntityManager } from '@mikro-orm/sql';
import { AccountNotFoundError, LinkedToAnotherUserError } from '../errors.js';
import type { Grant } from '../rollup/grant.js';
import type { Tokens, TokenSet } from '../token-set.js';
import type { Transact } from '../transact.js';
import type { LinkResult, LinkSource } from '../vault/link-tokens.js';
import type { TokenVault } from '../vault/token-vault.js';
import { type AccountRecord, deleteAccount, findAccountOfUser, lockAccount } from './account.repository.js';
import {
  beginLink,
  type BegunLink,
  type LinkAttemptDeps,
  type LinkRequest,
  redeemLink,
} from './link-attempt.js';
import { putLink, type StoredLink } from './link.repository.js';
import { verifyTakenOver } from './take-over.js';
import { deleteUnreachableUser, lockUser } from './user.repository.js';

/** A completed link, and the access token of the identity for its own user. */
export interface CompletedLink
  extends StoredLink, Pick<TokenSet, 'accessToken' | 'accessTokenExpiresAt' | 'scopes'> {}

/** What linking depends on. */
export interface LinkingDeps extends LinkAttemptDeps {
  readonly transact: Transact;
  readonly vault: TokenVault;
  /** Receives the error of every failed link. */
  readonly onFailure: (error: unknown) => void;
  /** Receives the error of userinfo that could not be read, which fails no link. */
  readonly onUserinfoFailure: (accountId: string, error: unknown) => void;
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

  /** Takes over tokens that were obtained elsewhere, with the same checks as `complete`. See `verifyTakenOver`. */
  takeOver(tokens: Tokens, userId?: string): Promise<CompletedLink> {
    return this.#reporting(async () =>
      this.#store(await verifyTakenOver(this.#deps, tokens, userId), userId, tokens),
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

  /** Of two concurrent links of one identity the second may have to be run again to see the user of the first. */
  async #store(
    verified: Grant,
    userId: string | undefined,
    takenOver?: LinkSource['takenOver'],
  ): Promise<CompletedLink> {
    const { transact, vault, onChange, onUserinfoFailure } = this.#deps;
    const rows = `${verified.issuer} ${verified.sub}`;
    const source = { canRevoke: await vault.revocations.isPossible(), takenOver };
    let grant = verified;
    for (let tries = 1; ; tries += 1) {
      try {
        const { isRevocationAdded, ...link } = await transact(rows, (tx) =>
          this.#storeOnce(tx, grant, userId, source),
        );
        onChange('linked', link.account);
        if (grant.userinfoFailure) onUserinfoFailure(link.account.id, grant.userinfoFailure);
        if (isRevocationAdded) vault.revocations.run();
        return link;
      } catch (error) {
        // What older tokens tell of a person is older, too.
        if (error instanceof OlderTokensError) grant = withoutClaims(grant);
        else if (!(error instanceof LinkedMeanwhileError) || tries >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  async #storeOnce(
    tx: SqlEntityManager,
    grant: Grant,
    userId: string | undefined,
    source: LinkSource,
  ): Promise<CompletedLink & Pick<LinkResult, 'isRevocationAdded'>> {
    const { issuer, sub, person, tokens } = grant;
    const { accessToken, accessTokenExpiresAt, scopes } = tokens;
    const isUserinfoDue = grant.userinfoFailure !== undefined;
    const link = await putLink(tx, { issuer, sub, scopes, person, isUserinfoDue }, userId ?? null);
    if (!link) throw new LinkedMeanwhileError();
    if (userId !== undefined && link.user.id !== userId) throw new LinkedToAnotherUserError();
    const { isStored, isRevocationAdded } = await this.#deps.vault.put(tx, link.account.id, tokens, source);
    if (!isStored && Object.keys(person).length > 0) throw new OlderTokensError();
    return { ...link, accessToken, accessTokenExpiresAt, scopes, isRevocationAdded };
  }
}

function withoutClaims(grant: Grant): Grant {
  return { ...grant, person: {} };
}

/** Rolls a transaction back that is to be run again. */
class LinkedMeanwhileError extends Error {}

/** Rolls a transaction back that is to be run again, without the claims. */
class OlderTokensError extends Error {}
