import { SingleFlight } from '../single-flight.js';

/** Those who wait for one attempt. */
interface Waiters {
  count: number;
  readonly givenUp: AbortController;
}

/** One attempt for each account at a time, which all its callers of this process share. */
export class SharedAttempts<Result> {
  readonly #attempts = new SingleFlight<Result>();
  readonly #waiters = new Map<string, Waiters>();

  /** Whether an attempt is in flight for the account. */
  has(accountId: string): boolean {
    return this.#attempts.has(accountId);
  }

  /**
   * Starts the attempt or joins the one in flight, and waits for it until `late` is done. The attempt goes on without its
   * callers, unless it heeds that all of them gave up.
   */
  async join(
    accountId: string,
    start: (givenUp: AbortSignal) => Promise<Result>,
    late: Promise<Result>,
  ): Promise<Result> {
    const waiters = this.#waiters.get(accountId) ?? { count: 0, givenUp: new AbortController() };
    this.#waiters.set(accountId, waiters);
    waiters.count += 1;
    try {
      return await Promise.race([this.#attempts.run(accountId, () => start(waiters.givenUp.signal)), late]);
    } finally {
      waiters.count -= 1;
      if (waiters.count === 0) {
        this.#waiters.delete(accountId);
        // An attempt that has ended heeds nothing.
        if (this.has(accountId)) waiters.givenUp.abort();
      }
    }
  }

  /** Resolves when no attempt is in flight. */
  drain(): Promise<void> {
    return this.#attempts.drain();
  }
}
