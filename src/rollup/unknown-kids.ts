import { remember } from './remember.js';

/** A new key that shows up right after a fetch is accepted within five seconds; this leaves time for the fetch. */
const INSISTENT_AFTER_MS = 3_000;
const MAX_LENGTH = 100;

/**
 * Key ids that were asked for in vain. A flood of made-up ids names each of them once; a key that the provider
 * really signs with comes again and again.
 */
export class UnknownKeyIds {
  readonly #since = new Map<string, number>();

  /** @param now milliseconds. */
  constructor(private readonly now: () => number) {}

  /** Notes that a token named this id. True when it was named before, three seconds ago or earlier. */
  isInsistent(kid: unknown): boolean {
    if (typeof kid !== 'string' || kid.length > MAX_LENGTH) return false;
    const since = this.#since.get(kid);
    if (since !== undefined) return this.now() - since >= INSISTENT_AFTER_MS;
    remember(this.#since, kid, this.now());
    return false;
  }
}
