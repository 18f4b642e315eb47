import type { SqlEntityManager } from '@mikro-orm/sql';
import { SealBrokenError } from '../errors.js';
import { SingleFlight } from '../single-flight.js';
import { reportBrokenSeal } from './end-grant.js';
import {
  deleteRevocation,
  insertRevocation,
  insertStoredRevocation,
  lockRefreshToken,
  type PendingRevocationRecord,
  type SealedRefreshToken,
  takeDueRevocations,
} from './pending-revocation.repository.js';
import type { RefreshDeps } from './refresh-deps.js';
import type { RevocationEvent } from './revocation-event.js';
import type { SealedContent } from './sealed-row.repository.js';
import type { TokenCipher } from './token-cipher.js';

/** What the outbox depends on. `em` is forked for every statement of its own. */
export interface RevocationOutboxDeps extends Pick<RefreshDeps, 'onEvent' | 'isKnownKey' | 'leaseMs'> {
  readonly em: SqlEntityManager;
  readonly cipher: TokenCipher;
  /**
   * Revokes a refresh token at the provider (RFC 7009). False when the provider has no endpoint for it.
   *
   * Throws `ProviderUnavailableError`. Its timeout is shorter than the lease.
   */
  readonly revoke: (refreshToken: string) => Promise<boolean>;
  /** Whether the provider revokes, as far as is known. */
  readonly canRevoke: () => Promise<boolean>;
  /** Whether refresh tokens that a link replaces are revoked. */
  readonly revokeReplaced: boolean;
  readonly onRevocation: (event: RevocationEvent) => void;
  /** Called when the database failed; the next round tries again. */
  readonly onError: (error: unknown) => void;
}

const INTERVAL_MS = 5_000;
/** Each is a call to the provider at the same time. */
const BATCH = 10;

/**
 * Refresh tokens that are to be revoked: written in the transaction that makes them useless, and revoked after it by
 * any process (transactional outbox). Revoking twice is harmless (RFC 7009 §2.2).
 */
export class RevocationOutbox {
  readonly #deps: RevocationOutboxDeps;
  readonly #rounds = new SingleFlight<void>();
  #isWanted = false;

  constructor(deps: RevocationOutboxDeps) {
    this.#deps = deps;
  }

  /** To be asked before a transaction: it may call the provider. */
  isPossible(): Promise<boolean> {
    return this.#deps.canRevoke();
  }

  /** Adds the stored refresh token of an account that the transaction deletes. True when `run` is to follow the commit. */
  addStored(tx: SqlEntityManager, accountId: string): Promise<boolean> {
    return insertStoredRevocation(tx, this.#deps.cipher.registration, accountId);
  }

  /**
   * Adds the stored refresh token of an account that the transaction replaces by another one. True when `run` is to
   * follow the commit. One that does not open is not added: it may be the same.
   *
   * @param kept those that stay in use: the one that replaces, and the one that it was obtained with.
   */
  async addReplaced(tx: SqlEntityManager, accountId: string, kept: readonly string[]): Promise<boolean> {
    const { cipher, revokeReplaced } = this.#deps;
    if (!revokeReplaced) return false;
    const stored = await lockRefreshToken(tx, cipher.registration, accountId);
    if (!stored || (await this.#isOneOf(kept, stored))) return false;
    await insertRevocation(tx, cipher.registration, stored);
    return true;
  }

  /**
   * Revokes the refresh token of a response that came too late to be stored, unless it is of the grant that is stored.
   *
   * @param stored the row as it is now; undefined when the account was unlinked.
   */
  async addSuperseded(token: SealedRefreshToken, stored: SealedContent | undefined): Promise<void> {
    const { em, cipher, revokeReplaced } = this.#deps;
    // Another process may have refreshed as well: providers revoke a grant with any refresh token of it.
    if (stored && (!revokeReplaced || cipher.isSameLink(stored, token))) return;
    if (!(await this.isPossible())) return;
    await insertRevocation(em.fork(), cipher.registration, token);
    this.run();
  }

  /** Revokes what is due, in the background. */
  run(): void {
    this.#isWanted = true;
    void this.#rounds.run('round', () => this.#revokeDue().catch(this.#deps.onError));
  }

  /** Runs now and every few seconds. Returns the function that ends that and waits for the round in flight. */
  start(): () => Promise<void> {
    const timer = setInterval(() => this.run(), INTERVAL_MS);
    this.run();
    return async () => {
      clearInterval(timer);
      await this.drain();
    };
  }

  /** Resolves when none is in flight here. */
  drain(): Promise<void> {
    return this.#rounds.drain();
  }

  /** What is added while a round runs is a part of it. */
  async #revokeDue(): Promise<void> {
    const { em, cipher, leaseMs } = this.#deps;
    while (this.#isWanted) {
      this.#isWanted = false;
      const due = await takeDueRevocations(em.fork(), cipher.registration, leaseMs, BATCH);
      if (due.length === BATCH) this.#isWanted = true;
      await Promise.all(due.map((row) => this.#revoke(row)));
    }
  }

  async #revoke(row: PendingRevocationRecord): Promise<void> {
    const { em, cipher, onRevocation, revoke } = this.#deps;
    const { id, accountId, isLast } = row;
    try {
      const isRevoked = await revoke(await cipher.open(row, 'refreshToken'));
      if (isRevoked) onRevocation({ type: 'revoked', accountId });
    } catch (cause) {
      const isDamaged = cause instanceof SealBrokenError && !(await reportBrokenSeal(this.#deps, row, cause));
      if (!isDamaged) {
        onRevocation({ type: isLast ? 'revocation_given_up' : 'revocation_failed', accountId, cause });
        if (!isLast) return;
      }
    }
    await deleteRevocation(em.fork(), id);
  }

  async #isOneOf(kept: readonly string[], stored: SealedRefreshToken): Promise<boolean> {
    try {
      return kept.includes(await this.#deps.cipher.open(stored, 'refreshToken'));
    } catch (error) {
      if (error instanceof SealBrokenError) return true;
      throw error;
    }
  }
}
