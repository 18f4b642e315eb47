/** A process as the world sees it: it may die for good, or stop for a while and never know. */
export interface Host {
  alive: boolean;
  frozenUntil: number;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void | Promise<void>;
}

/** Time that passes only from event to event. */
export class EventLoop {
  now = Date.UTC(2027, 0, 1);
  #order = 0;
  #events: Event[] = [];

  after(delayMs: number, run: () => void | Promise<void>): void {
    this.#events.push({ at: this.now + delayMs, order: (this.#order += 1), run });
  }

  /** Resumes on `host` after a delay: later if it is frozen then, never if it is dead. */
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
   * A call from a host to somewhere else: the request travels, the work is done there whatever becomes of the
   * host, and the answer travels back if anybody is there to hear it.
   */
  call<Answer>(
    host: Host,
    delaysMs: readonly [number, number],
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.after(delaysMs[0], async () => {
        try {
          const answer = await work();
          this.resume(host, delaysMs[1], () => resolve(answer));
        } catch (error) {
          this.resume(host, delaysMs[1], () => reject(error as Error));
        }
      });
    });
  }

  /** Runs until nothing is left to happen. */
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
      if (!first || event.at < first.at || (event.at === first.at && event.order < first.order))
        first = event;
    }
    this.#events = this.#events.filter((event) => event !== first);
    return first;
  }
}

/** Lets everything that waits for a resolved promise go on until it waits for an event. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
