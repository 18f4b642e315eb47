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
import type { RefreshDeps } from './refresh-attempt.js';
import type { TokenCipher } from './token-cipher.js';

/** What became of a refresh token that is of no use here any more; never the token. */
export type RevocationEvent = { readonly accountId: string } & (
  | { readonly type: 'revoked' }
  | { readonly type: 'revocation_failed' | 'revocation_given_up'; readonly cause: unknown }
);

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
const ROUND = 'round';

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

  /** Whether there is anything to add, to be asked before a transaction: it may call the provider. */
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
   */
  async addReplaced(tx: SqlEntityManager, accountId: string, replacement: string): Promise<boolean> {
    const { cipher, revokeReplaced } = this.#deps;
    if (!revokeReplaced) return false;
    const stored = await lockRefreshToken(tx, cipher.registration, accountId);
    if (!stored || (await this.#isSame(stored, replacement))) return false;
    await insertRevocation(tx, cipher.registration, stored);
    return true;
  }

  /** Adds a sealed refresh token of an account that was never stored, or is stored no more. `run` is to follow. */
  add(em: SqlEntityManager, token: SealedRefreshToken): Promise<void> {
    return insertRevocation(em, this.#deps.cipher.registration, token);
  }

  /** Revokes what is due, in the background. */
  run(): void {
    this.#isWanted = true;
    void this.#rounds.run(ROUND, () => this.#revokeDue().catch(this.#deps.onError));
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

  /** Resolves when no revocation is in flight in this process. */
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
    const { onRevocation, revoke } = this.#deps;
    const { id, accountId, isLast } = row;
    try {
      if (await revoke(await open(this.#deps.cipher, row))) onRevocation({ type: 'revoked', accountId });
    } catch (cause) {
      const isDamaged = cause instanceof SealBrokenError && !(await reportBrokenSeal(this.#deps, row, cause));
      if (!isDamaged) {
        onRevocation({ type: isLast ? 'revocation_given_up' : 'revocation_failed', accountId, cause });
        if (!isLast) return;
      }
    }
    await deleteRevocation(this.#deps.em.fork(), id);
  }

  async #isSame(stored: SealedRefreshToken, replacement: string): Promise<boolean> {
    try {
      return (await open(this.#deps.cipher, stored)) === replacement;
    } catch (error) {
      if (error instanceof SealBrokenError) return true;
      throw error;
    }
  }
}

function open(cipher: TokenCipher, token: SealedRefreshToken): Promise<string> {
  return cipher.open({ ...token, accessToken: null, idToken: null }, 'refreshToken');
}
