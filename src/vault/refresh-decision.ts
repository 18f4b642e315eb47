import type { RefreshState } from './sealed-row.repository.js';

/**
 * What to do for a caller who wants an access token, given the row as it is now.
 *
 * - `serve`: the stored token is good enough, or the best there will be
 * - `refresh`: no refresh is in flight; claim the lease and call the provider, or verify the response that was kept
 * - `wait`: another attempt holds the lease; poll the row
 * - `pause`: the back-off lasts and the token has expired
 * - `lost`: the response of a rotating provider was lost; another call could revoke the only valid token
 * - `dead`: only a new link helps
 */
export type RefreshDecision = 'serve' | 'refresh' | 'wait' | 'pause' | 'lost' | 'dead';

/** Least time between two refreshes when the provider issues tokens that live hardly longer than is wanted of them. */
export const SHORT_LIVED_DELAY_MS = 10_000;

/**
 * Decides from the row alone; pure, so that every state can be listed in a test.
 *
 * @param minTtlMs least remaining life that the caller accepts without a refresh, in milliseconds.
 */
export function decideRefresh(state: RefreshState, minTtlMs: number): RefreshDecision {
  if (state.status !== 'ACTIVE') return 'dead';
  const ttlMs = remainingMs(state);
  if (ttlMs >= attainableMs(state, minTtlMs) && ttlMs > 0) return 'serve';
  if (!state.isRefreshable) return ttlMs > 0 ? 'serve' : 'dead';
  if (state.retryInMs > 0) return ttlMs > 0 ? 'serve' : 'pause';
  if (state.leaseId === null) return 'refresh';
  if (state.leaseRemainingMs > 0) return 'wait';
  // With a response in hand nobody is called.
  return state.refreshTokenRotates && !state.hasPendingResponse ? 'lost' : 'refresh';
}

/** Milliseconds until the access token ends, by the clock of the database when the row was read; negative when it has. */
export function remainingMs({ accessTokenExpiresAt, readAtMs }: RefreshState): number {
  return accessTokenExpiresAt.getTime() - readAtMs;
}

/**
 * What a refresh can give of `minTtlMs`. Once a refresh has shown that the provider's tokens do not live as long, half
 * their life is enough: another refresh for every call would not bring more.
 */
function attainableMs(state: RefreshState, minTtlMs: number): number {
  const { accessTokenIssuedAt, accessTokenExpiresAt, lastRefreshedAt } = state;
  const lifeMs =
    accessTokenExpiresAt.getTime() - (accessTokenIssuedAt?.getTime() ?? Number.NEGATIVE_INFINITY);
  const isTooMuch = lastRefreshedAt !== null && lifeMs - SHORT_LIVED_DELAY_MS < minTtlMs;
  return isTooMuch ? lifeMs / 2 : minTtlMs;
}
