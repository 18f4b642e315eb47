import type { DeepReadonly, SettingsReader } from '../settings-reader.js';
import { findKeyProblems } from './key-ring.js';

export type VaultSettings = DeepReadonly<ReturnType<typeof readVaultSettings>>;

/**
 * The key ring and the times of a refresh.
 *
 * @param callTimeoutMs the timeout of a call to the provider, which a lease must outlive.
 */
export function readVaultSettings(read: SettingsReader, callTimeoutMs: number) {
  const leaseMs = read.integer('REFRESH_LEASE_SECONDS', 15, 1, 3_600) * 1_000;
  if (leaseMs <= callTimeoutMs) {
    read.problem('REFRESH_LEASE_SECONDS must be longer than ROLLUP_TIMEOUT_MS');
  }
  return {
    /** Absent: generated in the data directory, never in production. */
    keys: readKeyRing(read, read.production),
    /** 0: nothing is refreshed ahead of demand. */
    refreshAheadSeconds: read.integer('REFRESH_AHEAD_SECONDS', 0, 0, 1_800),
    refresh: {
      /** A token that ends sooner is refreshed. */
      marginMs: read.integer('ACCESS_TOKEN_MARGIN_SECONDS', 60, 0, 1_800) * 1_000,
      leaseMs,
      /** How long one caller waits for a result before it gets the best there is. */
      waitMs: read.integer('REFRESH_WAIT_MS', callTimeoutMs + 2_000, 1, 120_000),
      backOffBaseMs: read.integer('REFRESH_BACKOFF_MS', 5_000, 1, 300_000),
      /** Whether the provider replaces the refresh token with every use; `auto` learns it from its responses. */
      rotation: read.oneOf('REFRESH_TOKEN_ROTATION', 'auto', ['auto', 'always', 'never']),
    },
    /** Whether a refresh token that a link replaces is revoked; that of an unlinked account always is. */
    revokeReplaced: read.boolean('ROLLUP_REVOKE_REPLACED', true),
    circuit: {
      maxConcurrentCalls: read.integer('ROLLUP_MAX_IN_FLIGHT', 50, 1, 10_000),
      /** Calls that may wait for one in flight to end. */
      maxQueuedCalls: read.integer('ROLLUP_MAX_QUEUED', 1_000, 0, 100_000),
      probeIntervalMs: read.integer('ROLLUP_PROBE_MS', 30_000, 1, 3_600_000),
    },
  };
}

/** `TOKEN_KEYS`, with every problem of its entries reported. */
export function readKeyRing(read: SettingsReader, required: boolean): string | undefined {
  const keys = required ? read.required('TOKEN_KEYS', true) : read.secret('TOKEN_KEYS');
  for (const problem of keys === undefined ? [] : findKeyProblems(keys)) read.problem(problem);
  return keys;
}
