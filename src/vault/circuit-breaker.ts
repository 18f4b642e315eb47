import { GrantDeadError, ProviderMisconfiguredError } from '../errors.js';

/** How many calls at once, and how long to hold back after the provider refused our credentials. */
export interface CircuitBreakerOptions {
  readonly maxInFlight: number;
  /** Milliseconds between two trials while the circuit is open. */
  readonly trialEveryMs: number;
  readonly now: () => number;
}

/**
 * What stands between this process and the provider: a cap on calls at once, and a circuit.
 *
 * The circuit opens when the provider refuses this server's own credentials: every call would fail the same way.
 * While it is open one trial at a time is let through, so that it closes by itself once the operator is done.
 */
export class CircuitBreaker {
  #inFlight = 0;
  #nextTrialAt: number | undefined;
  readonly #waiting: (() => void)[] = [];

  constructor(private readonly options: CircuitBreakerOptions) {}

  get circuitOpen(): boolean {
    return this.#nextTrialAt !== undefined;
  }

  /** Throws `ProviderMisconfiguredError` at once when the circuit is open and it is not time for a trial. */
  check(): void {
    if (this.#nextTrialAt === undefined) return;
    if (this.options.now() < this.#nextTrialAt) throw circuitOpenError();
    this.#nextTrialAt = this.options.now() + this.options.trialEveryMs;
  }

  /** Runs a call when there is room, unless the circuit has opened while it waited for its turn. */
  async run<Result>(call: () => Promise<Result>): Promise<Result> {
    const isTrial = this.circuitOpen;
    // A place that is given up is handed straight to the next in line, so nobody overtakes.
    if (this.#inFlight >= this.options.maxInFlight) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#inFlight += 1;
    try {
      if (this.circuitOpen && !isTrial) throw circuitOpenError();
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#inFlight -= 1;
    }
  }

  /** Learns from what a call came to. Only an answer that our credentials were good for closes the circuit. */
  settle(error?: unknown): void {
    if (error instanceof ProviderMisconfiguredError)
      this.#nextTrialAt ??= this.options.now() + this.options.trialEveryMs;
    else if (error === undefined || error instanceof GrantDeadError) this.#nextTrialAt = undefined;
  }
}

function circuitOpenError(): ProviderMisconfiguredError {
  return new ProviderMisconfiguredError({ cause: new Error('the circuit is open') });
}
