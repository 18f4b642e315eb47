import type { AppError } from '../errors.js';
import type { GalaxyResponse } from './galaxy-response.js';

/** An answer of Galaxy and when it came, in milliseconds. */
export interface CachedResponse {
  readonly answer: GalaxyResponse;
  readonly fetchedAt: number;
}

/** What is known of one account. */
export interface KnownAccount {
  /** The latest answer, which may lack a part. */
  readonly latest?: CachedResponse | undefined;
  /** The latest answer that lacked nothing. */
  readonly whole?: CachedResponse | undefined;
  /** Why asking last brought nothing at all. */
  readonly error?: AppError | undefined;
  /** Times in a row that asking did not bring everything. */
  readonly failures: number;
  /** Milliseconds: until then this is what anybody is told. */
  readonly until: number;
}

const MAX_ACCOUNTS = 10_000;

/** What Galaxy said of accounts, in the memory of this process: bounded, and what is older than `keepMs` goes with the next. */
export class GalaxyCache {
  readonly #known = new Map<string, KnownAccount & { readonly since: number }>();

  /** Times in milliseconds. */
  constructor(
    private readonly keepMs: number,
    private readonly now: () => number,
  ) {}

  get(accountId: string): KnownAccount | undefined {
    return this.#known.get(accountId);
  }

  /** The oldest come first, so those that are of no use any more and those that are too many go from the front. */
  set(accountId: string, known: KnownAccount): KnownAccount {
    const now = this.now();
    this.#known.delete(accountId);
    this.#known.set(accountId, { ...known, since: now });
    for (const [id, { since, until }] of this.#known) {
      const useless = now - since >= this.keepMs && now >= until;
      if (!useless && this.#known.size <= MAX_ACCOUNTS) break;
      this.#known.delete(id);
    }
    return known;
  }

  delete(accountId: string): void {
    this.#known.delete(accountId);
  }
}
