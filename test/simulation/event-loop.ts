/** A process that may die, or be frozen for a while without noticing. */
export interface Host {
  alive: boolean;
  frozenUntil: number;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void | Promise<void>;
}

/** A discrete-event loop: virtual time jumps from event to event. */
export class EventLoop {
  now = Date.UTC(2027, 0, 1);
  #order = 0;
  #events: Event[] = [];

  after(delayMs: number, run: () => void | Promise<void>): void {
    this.#events.push({ at: this.now + delayMs, order: (this.#order += 1), run });
  }

  /** Runs on `host` after a delay: later if it is frozen then, never if it is dead. */
  resume(host: Host, delayMs: number, run: () => void): void {
    this.after(delayMs, () => {
      if (!host.alive) return;
      if (host.frozenUntil > this.now) this.resume(host, host.frozenUntil - this.now, run);
      else run();
    });
  }

  sleep(host: Host, delayMs: number): Promise<void> {
    return new Promise((resolve) => this.resume(host, delayMs, resolve));
  }

  /**
   * A remote call from a host: after the first delay the work is done even if the host has died; after the second the
   * result arrives, if the host is still alive.
   */
  call<Result>(
    host: Host,
    delaysMs: readonly [number, number],
    work: () => Promise<Result>,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.after(delaysMs[0], async () => {
        try {
          const result = await work();
          this.resume(host, delaysMs[1], () => resolve(result));
        } catch (error) {
          this.resume(host, delaysMs[1], () => reject(error));
        }
      });
    });
  }

  /** Runs until no event is left. */
  async run(): Promise<void> {
    await settle();
    for (;;) {
      const next = this.#takeNext();
      if (!next) return;
      this.now = next.at;
      await next.run();
      await settle();
    }
  }

  #takeNext(): Event | undefined {
    let first: Event | undefined;
    for (const event of this.#events) {
      const isEarlier = !first || event.at < first.at || (event.at === first.at && event.order < first.order);
      if (isEarlier) first = event;
    }
    this.#events = this.#events.filter((event) => event !== first);
    return first;
  }
}

/** Lets pending promise callbacks run until all code waits for an event. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
