import { type AppError, ProviderUnavailableError, RateLimitedError } from '../errors.js';

/** While it lasts nobody asks Galaxy, and whoever comes gets the same error. */
interface Pause {
  /** Milliseconds. */
  readonly until: number;
  readonly error: AppError;
}

/** What keeps everybody from asking: a spent budget, or a failure that would meet every account. */
export class GalaxyBackOff {
  #pause: Pause | undefined;
  #failures = 0;

  /** @param now milliseconds. */
  constructor(private readonly now: () => number) {}

  /** Throws the error of the pause that lasts, with what is left of it. */
  check(): void {
    if (this.#lasts) throw this.#told();
  }

  /**
   * A failure, and a pause whose length in milliseconds follows from how many there were in a row; those that came
   * while nobody asked any more are the same one. Returns the error to tell.
   */
  fail(error: AppError, lengthOf: (failures: number) => number): AppError {
    if (!this.#lasts || this.#failures === 0) this.#failures += 1;
    return this.begin(lengthOf(this.#failures), error);
  }

  /** Nobody asks for `ms`, or for as long as an earlier pause lasts. Returns the error to tell. */
  begin(ms: number, error: AppError): AppError {
    const until = this.now() + ms;
    if (!this.#pause || this.#pause.until < until) this.#pause = { until, error };
    return this.#told();
  }

  /** Galaxy answered somebody who asked before a pause that lasts now, if there is one: that goes on. */
  succeed(): void {
    if (!this.#lasts) this.#failures = 0;
  }

  get #lasts(): boolean {
    return this.#pause !== undefined && this.#pause.until > this.now();
  }

  #told(): AppError {
    const { error, until } = this.#pause as Pause;
    return withRetryAfter(error, until - this.now());
  }
}

/** The same error, saying how long it goes on being true. */
export function withRetryAfter(error: AppError, ms: number): AppError {
  if (error instanceof RateLimitedError) return new RateLimitedError(ms);
  if (error instanceof ProviderUnavailableError) return new ProviderUnavailableError(ms, { cause: error });
  return error;
}
