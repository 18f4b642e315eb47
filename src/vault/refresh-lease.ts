import { retry, type Timer } from '../back-off.js';
import type { RefreshEvent } from './refresh-event.js';
import type { LeaseClaim, RefreshLeaseRepository } from './refresh-steps.js';
import type { SealedContent } from './sealed-row.repository.js';

/** What the lease depends on. */
export interface RefreshLeaseDeps extends Timer {
  readonly leases: RefreshLeaseRepository;
  readonly onEvent: (event: RefreshEvent) => void;
  /** Whether the ring of this process has a key with the bytes that the database knows. */
  readonly isKnownKey: (kid: string) => Promise<boolean>;
}

/** How long a write is retried while the database fails. */
const RETRY_FOR_MS = 30_000;
/** Delays between attempts to release a claim that may still be committed. */
const LATE_CLAIM_DELAYS_MS = [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000];

/** The lease of a refresh, claimed and released also when the database fails in between. */
export class RefreshLease {
  readonly #deps: RefreshLeaseDeps;

  constructor(deps: RefreshLeaseDeps) {
    this.#deps = deps;
  }

  /** See `RefreshLeaseRepository.claim`. */
  async claim(claim: LeaseClaim): Promise<SealedContent | undefined> {
    try {
      return await this.#deps.leases.claim(claim);
    } catch (error) {
      // A claim that cannot be released expires.
      void this.#releaseLate(claim).catch(() => undefined);
      throw error;
    }
  }

  /** Releases once or, when the database fails, retries in the background: no caller waits for that. */
  async release(
    accountId: string,
    leaseId: string,
    backOffMs: number,
    dropResponse?: boolean,
  ): Promise<void> {
    const release = (): Promise<boolean> =>
      this.#deps.leases.release(accountId, leaseId, backOffMs, dropResponse);
    try {
      await release();
    } catch (cause) {
      this.#deps.onEvent({ type: 'not_recorded', accountId, cause });
      void this.write(release).catch(() => undefined);
    }
  }

  /** Retries a write while the database fails: what it stores may be the only valid token. */
  write(write: () => Promise<boolean>): Promise<boolean> {
    return retry(write, this.#deps, RETRY_FOR_MS);
  }

  /**
   * A claim whose result was lost may be in the row, or may be committed later: the database goes on with a statement
   * that its client has given up, for instance behind a lock. The provider was not called.
   */
  async #releaseLate({ accountId, leaseId }: LeaseClaim): Promise<void> {
    for (const delayMs of LATE_CLAIM_DELAYS_MS) {
      await this.#deps.sleep(delayMs);
      if (await this.write(() => this.#deps.leases.release(accountId, leaseId, 0))) return;
    }
  }
}
