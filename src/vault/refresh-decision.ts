import type { SealedRow } from './sealed-tokens.repository.js';

/**
 * What to do for a caller who wants an access token, given the row as it is now.
 *
 * - `serve`: the stored token is good enough, or the best there will be
 * - `refresh`: no refresh is in flight; claim the lease and call the provider
 * - `wait`: another attempt holds the lease; poll the row
 * - `pause`: the back-off lasts and the token has expired
 * - `lost`: the response of a rotating provider was lost; another call could revoke the only valid token
 * - `dead`: only a new link helps
 */
export type RefreshDecision = 'serve' | 'refresh' | 'wait' | 'pause' | 'lost' | 'dead';

/**
 * Decides from the row alone; pure, so that every state can be listed in a test.
 *
 * @param minTtlMs least remaining life that the caller accepts without a refresh, in milliseconds.
 * @param now this process's clock, milliseconds; only the token's own expiry is judged by it.
 */
export function decideRefresh(row: SealedRow, minTtlMs: number, now: number): RefreshDecision {
  if (row.status !== 'ACTIVE') return 'dead';
  const ttlMs = remainingMs(row.accessTokenExpiresAt, now);
  if (ttlMs >= minTtlMs && ttlMs > 0) return 'serve';
  if (row.refreshToken === null) return ttlMs > 0 ? 'serve' : 'dead';
  if (row.retryInMs > 0) return ttlMs > 0 ? 'serve' : 'pause';
  if (row.leaseId === null) return 'refresh';
  if (row.leaseRemainingMs > 0) return 'wait';
  return row.refreshTokenRotates ? 'lost' : 'refresh';
}

/** Milliseconds until the access token ends; negative when it has. */
export function remainingMs(expiresAt: Date, now: number): number {
  return expiresAt.getTime() - now;
}
