import { GrantDeadError, ProviderMisconfiguredError } from '../errors.js';
import type { VaultSettings } from './settings.js';

/** The limit of calls in flight; milliseconds between two half-open probes, and a clock that never goes backwards. */
export type CircuitBreakerOptions = VaultSettings['circuit'] & { readonly now: () => number };

/**
 * A circuit breaker around the provider, with a limit of concurrent calls (bulkhead): the others queue, first in,
 * first out.
 *
 * The circuit opens when the provider rejects this server's own credentials, because every other call would fail in the
 * same way. While it is open, one half-open probe is let through in each interval; the first call whose response shows
 * that the credentials are valid closes the circuit.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  readonly #queue: (() => void)[] = [];
  #inFlight = 0;
  /** When the next probe may be sent; undefined while the circuit is closed. */
  #nextProbeAt: number | undefined;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#nextProbeAt !== undefined;
  }

  /**
   * Runs `fn` as soon as there is room, unless the circuit is open by then. Throws what `fn` throws, and
   * `ProviderMisconfiguredError` without running it when the circuit is open and no probe is due.
   *
   * @param fn resolves to undefined when it made no call, which says nothing about the credentials.
   */
  async call<Result>(fn: () => Promise<Result | undefined>): Promise<Result | undefined> {
    const isProbe = this.#admit();
    await this.#acquire();
    try {
      if (this.isOpen && !isProbe) throw circuitOpenError();
      const result = await fn();
      if (result !== undefined) this.#nextProbeAt = undefined;
      return result;
    } catch (error) {
      this.#record(error);
      throw error;
    } finally {
      this.#release();
    }
  }

  /** True when the circuit is open and this call is its probe. */
  #admit(): boolean {
    if (this.#nextProbeAt === undefined) return false;
    const now = this.#options.now();
    if (now < this.#nextProbeAt) throw circuitOpenError();
    this.#nextProbeAt = now + this.#options.probeIntervalMs;
    return true;
  }

  #record(error: unknown): void {
    if (error instanceof ProviderMisconfiguredError) {
      this.#nextProbeAt ??= this.#options.now() + this.#options.probeIntervalMs;
    } else if (error instanceof GrantDeadError) {
      // The provider looked at the grant, so it accepted the credentials.
      this.#nextProbeAt = undefined;
    }
  }

  async #acquire(): Promise<void> {
    if (this.#inFlight < this.#options.maxConcurrentCalls) this.#inFlight += 1;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  /** Hands the slot to the next call in the queue, so that no later one overtakes it. */
  #release(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#inFlight -= 1;
  }
}

function circuitOpenError(): ProviderMisconfiguredError {
  return new ProviderMisconfiguredError({ cause: new Error('the circuit is open') });
}
