import { OverloadedError } from '../errors.js';

/**
 * Runs what has one key one after the other, so that a row that is locked holds up one connection and not all of them.
 *
 * A call waits up to `waitMs` for its turn, and is then rejected with `OverloadedError`; it never runs.
 */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<void>>();
  readonly #waitMs: number;

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key);
    let done = (): void => undefined;
    const own = new Promise<void>((resolve) => (done = resolve));
    const last = before ? before.then(() => own) : own;
    this.#last.set(key, last);
    try {
      if (before) await this.#turn(before);
      return await work();
    } finally {
      done();
      // Also of a call that gave up waiting: what runs before it is still the one to wait for.
      void last.then(() => this.#last.get(key) === last && this.#last.delete(key));
    }
  }

  async #turn(before: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new OverloadedError()), this.#waitMs);
    });
    await Promise.race([before, late]).finally(() => clearTimeout(timer));
  }
}
