import { createLocalJWKSet, type JWK } from 'jose';
import type { Fetch } from '../fetch.js';
import { discover, type Endpoints } from './discovery.js';
import { fetchKeySet, type SelectKey } from './key-set.js';
import { type CacheLifetimes, StaleWhileRevalidate } from './stale-while-revalidate.js';
import { trackUnknownKids } from './unknown-kids.js';

/** The configured provider: its endpoints and its signing keys, both cached. */
export interface Issuer {
  readonly issuer: string;
  /** Throws `ProviderUnavailableError`, or `ProviderMisconfiguredError` when discovery names another issuer. */
  endpoints(): Promise<Endpoints>;
  keys(): Promise<SelectKey>;
  /**
   * Refreshes the keys for a `kid` that `keys()` does not hold: once per cool-down on demand, and once more for a `kid`
   * that is retried after three seconds.
   */
  refreshKeys(unknownKid: unknown): Promise<SelectKey>;
}

/** What an issuer depends on. `now` and `timeoutMs` in milliseconds. */
export interface IssuerOptions {
  readonly issuer: string;
  readonly timeoutMs: number;
  readonly lifetimes: CacheLifetimes;
  readonly fetch: Fetch;
  readonly now: () => number;
}

/** Discovery and keys are fetched on first use: the server starts while the provider is down. */
export function createIssuer({ issuer, timeoutMs, lifetimes, fetch, now }: IssuerOptions): Issuer {
  const discovery = new StaleWhileRevalidate(() => discover(issuer, fetch, timeoutMs), lifetimes, now);
  let current: { readonly keys: readonly JWK[]; readonly selectKey: SelectKey } | undefined;
  const fetchKeys = async (): Promise<SelectKey> => {
    const keys = await fetchKeySet((await discovery.get()).jwks, fetch, timeoutMs, current?.keys);
    if (!current || JSON.stringify(current.keys) !== JSON.stringify(keys)) {
      current = { keys, selectKey: createLocalJWKSet({ keys }) };
    }
    return current.selectKey;
  };
  const keys = new StaleWhileRevalidate(fetchKeys, lifetimes, now);
  const isRetry = trackUnknownKids(now);
  return {
    issuer,
    endpoints: () => discovery.get(),
    keys: () => keys.get(),
    refreshKeys: (kid) => keys.refresh(isRetry(kid) ? 'retry' : 'demand'),
  };
}
