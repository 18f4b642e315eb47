import { ProviderUnavailableError } from '../errors.js';

/** How long a caller waits before it asks again. */
const RETRY_AFTER_MS = 1_000;

/**
 * A limit of concurrent calls (bulkhead): the others queue, first in, first out, until they are given up. The queue is
 * bounded.
 */
export class Bulkhead {
  readonly #maxConcurrentCalls: number;
  readonly #maxQueuedCalls: number;
  /** Those who wait, each with what lets it in. */
  readonly #queue = new Set<() => void>();
  #inFlight = 0;

  constructor(maxConcurrentCalls: number, maxQueuedCalls: number) {
    this.#maxConcurrentCalls = maxConcurrentCalls;
    this.#maxQueuedCalls = maxQueuedCalls;
  }

  /** Calls that wait for others to end. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Runs `fn` as soon as there is room. Throws what `fn` throws, and `ProviderUnavailableError` without running it when
   * the queue is full or the call is given up before its turn.
   */
  async run<Result>(fn: () => Promise<Result>, givenUp: AbortSignal): Promise<Result> {
    if (this.#inFlight < this.#maxConcurrentCalls) this.#inFlight += 1;
    else await this.#turn(givenUp);
    try {
      return await fn();
    } finally {
      this.#release();
    }
  }

  async #turn(givenUp: AbortSignal): Promise<void> {
    if (this.#queue.size >= this.#maxQueuedCalls) throw notCalled('the queue of calls is full');
    const turn = Promise.withResolvers<void>();
    const leave = (): void => {
      // Too late for one whose turn has come.
      if (this.#queue.delete(turn.resolve)) turn.reject(notCalled('everybody who waited gave up'));
    };
    this.#queue.add(turn.resolve);
    givenUp.addEventListener('abort', leave, { once: true });
    await turn.promise.finally(() => givenUp.removeEventListener('abort', leave));
  }

  /** Hands the slot to the next call in the queue, so that no later one overtakes it. */
  #release(): void {
    const [next] = this.#queue;
    if (next) {
      this.#queue.delete(next);
      next();
    } else {
      this.#inFlight -= 1;
    }
  }
}

function notCalled(why: string): ProviderUnavailableError {
  return new ProviderUnavailableError(RETRY_AFTER_MS, { cause: new Error(why) });
}
