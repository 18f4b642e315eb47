import { ClientMismatchError, GrantDeadError, ProviderMisconfiguredError } from '../errors.js';
import { Bulkhead } from './bulkhead.js';
import type { VaultSettings } from './settings.js';

/** The limits of calls; milliseconds between two half-open probes, and a clock that never goes backwards. */
export type CircuitBreakerOptions = VaultSettings['circuit'] & { readonly now: () => number };

/** Several accounts: one may have a token that is none of ours. */
const ACCOUNTS_THAT_AGREE = 3;

/**
 * A circuit breaker around the provider, with a limit of concurrent calls.
 *
 * The circuit opens when the provider rejects this server's own credentials, because every other call would fail in the
 * same way. A refresh token of another client is no such rejection, unless several accounts in a row are told so. While
 * it is open, one half-open probe is let through in each interval; the first call whose response shows that the
 * credentials are valid closes the circuit.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  readonly #bulkhead: Bulkhead;
  /** Who was told to belong to another client since the last call that showed our credentials to be valid. */
  readonly #mismatched = new Set<string>();
  /** When the next probe may be sent; undefined while the circuit is closed. */
  #nextProbeAt: number | undefined;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
    this.#bulkhead = new Bulkhead(options.maxConcurrentCalls, options.maxQueuedCalls);
  }

  get isOpen(): boolean {
    return this.#nextProbeAt !== undefined;
  }

  /** Calls that wait for others to end. */
  get queued(): number {
    return this.#bulkhead.queued;
  }

  /**
   * Runs `fn` for an account as soon as there is room, unless the circuit is open by then. Throws what `fn` throws, what
   * `Bulkhead.run` throws, and `ProviderMisconfiguredError` without running it when the circuit is open and no probe is
   * due.
   *
   * @param fn resolves to undefined when it made no call, which says nothing about the credentials.
   */
  async call<Result>(
    accountId: string,
    givenUp: AbortSignal,
    fn: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> {
    const isProbe = this.#isProbe();
    return this.#bulkhead.run(async () => {
      if (this.isOpen && !isProbe) throw circuitOpenError();
      try {
        const result = await fn();
        if (result !== undefined) this.#close();
        return result;
      } catch (error) {
        throw this.#record(accountId, error);
      }
    }, givenUp);
  }

  /** True when the circuit is open and this call is its probe. */
  #isProbe(): boolean {
    if (this.#nextProbeAt === undefined) return false;
    const now = this.#options.now();
    if (now < this.#nextProbeAt) throw circuitOpenError();
    this.#nextProbeAt = now + this.#options.probeIntervalMs;
    return true;
  }

  /** Returns the error to throw. */
  #record(accountId: string, error: unknown): unknown {
    // The provider looked at the grant, so it accepted the credentials.
    if (error instanceof GrantDeadError) this.#close();
    if (error instanceof ClientMismatchError) {
      if (this.#mismatched.size < ACCOUNTS_THAT_AGREE) this.#mismatched.add(accountId);
      if (this.#mismatched.size < ACCOUNTS_THAT_AGREE) return error;
    } else if (!(error instanceof ProviderMisconfiguredError)) {
      return error;
    }
    this.#nextProbeAt ??= this.#options.now() + this.#options.probeIntervalMs;
    return error instanceof ProviderMisconfiguredError
      ? error
      : new ProviderMisconfiguredError({ cause: error });
  }

  #close(): void {
    this.#nextProbeAt = undefined;
    this.#mismatched.clear();
  }
}

function circuitOpenError(): ProviderMisconfiguredError {
  return new ProviderMisconfiguredError({ cause: new Error('the circuit is open') });
}
