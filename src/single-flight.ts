/**
 * Coalesces concurrent calls under one key into one call (as golang.org/x/sync/singleflight). Results are not cached: the
 * next `run` after the call has settled calls again.
 */
export class SingleFlight<Result> {
  readonly #inFlight = new Map<string, Promise<Result>>();

  /** Calls `fn`, or returns the promise of the call that is in flight under this key. */
  run(key: string, fn: () => Promise<Result>): Promise<Result> {
    const inFlight = this.#inFlight.get(key);
    if (inFlight) return inFlight;
    const started = fn().finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, started);
    return started;
  }

  /** Whether a call is in flight under this key. */
  has(key: string): boolean {
    return this.#inFlight.has(key);
  }

  /** Resolves when nothing is in flight; never rejects. */
  async drain(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.allSettled(this.#inFlight.values());
  }
}
