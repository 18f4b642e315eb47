import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { CircuitBreaker } from './circuit-breaker.js';
import type { VaultSettings } from './settings.js';
import type { TokenCipher } from './token-cipher.js';
import { createTokenVault, type TokenVault, type TokenVaultDeps } from './token-vault.js';

/** What the room is handed. The vault does not know Rollup ID: it gets the functions that refresh and revoke. */
export interface VaultDeps extends Pick<TokenVaultDeps, 'refreshTokens' | 'revoke' | 'onEvent' | 'now'> {
  /** Milliseconds, never goes backwards: for the circuit breaker. */
  readonly monotonicNow: () => number;
}

/** The vault as the settings say. @param em forked for every use. */
export function createVault(
  em: SqlEntityManager,
  cipher: TokenCipher,
  settings: VaultSettings,
  { monotonicNow, ...deps }: VaultDeps,
): TokenVault {
  const { maxConcurrentCalls, probeIntervalMs, rotation } = settings;
  return createTokenVault(em, {
    ...deps,
    cipher,
    breaker: new CircuitBreaker({ maxConcurrentCalls, probeIntervalMs, now: monotonicNow }),
    sleep: (ms, signal) => delay(ms, undefined, { signal, ref: false }),
    random: Math.random,
    newId: randomUUID,
    rotation,
    marginMs: settings.accessTokenMarginSeconds * 1_000,
    leaseMs: settings.refreshLeaseSeconds * 1_000,
    waitMs: settings.refreshWaitMs,
    backOffBaseMs: settings.refreshBackOffMs,
  });
}
