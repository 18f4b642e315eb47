import { ProviderMisconfiguredError } from '../errors.js';
import type { Fetch } from '../fetch.js';
import { createIssuer, type Issuer } from './issuer.js';
import { createRollupClient, type RollupClient } from './rollup-client.js';
import type { ProviderSettings, RollupClientSettings } from './settings.js';
import type { VerifierOptions } from './token-verifier.js';

/** The provider: its keys, its endpoints, and what its tokens are verified against. */
export interface Rollup {
  readonly issuer: Issuer;
  readonly client: RollupClient;
  readonly verifier: VerifierOptions;
}

/** What the room depends on. Clocks in milliseconds. */
export interface RollupDeps {
  readonly fetch: Fetch;
  readonly now: () => number;
  /** Never goes backwards: for cool-downs. */
  readonly monotonicNow: () => number;
}

export function createRollup(
  { issuer: url, clientId, clientSecret }: RollupClientSettings,
  { timeoutMs, nonceRequired, lifetimes }: ProviderSettings,
  { fetch, now, monotonicNow }: RollupDeps,
): Rollup {
  const issuer = createIssuer({ issuer: url, timeoutMs, lifetimes, fetch, now: monotonicNow });
  const client = createRollupClient({ issuer, clientId, clientSecret, timeoutMs, fetch });
  return { issuer, client, verifier: { issuer, clientId, now, nonceRequired } };
}

/**
 * Fetches the keys of the issuer at start. Throws `ProviderMisconfiguredError` for a wrong issuer; one that cannot be
 * reached may come back, so the server starts without it.
 */
export async function warmUpKeys(issuer: Issuer, onUnavailable: (error: unknown) => void): Promise<void> {
  try {
    await issuer.keys();
  } catch (error) {
    if (error instanceof ProviderMisconfiguredError) throw error;
    onUnavailable(error);
  }
}

/** Whether bearers can be verified: the keys were fetched once. Fetches them if not. */
export async function hasKeys(issuer: Issuer): Promise<boolean> {
  return issuer.keys().then(
    () => true,
    () => false,
  );
}
