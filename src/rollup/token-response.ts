import { TokenRejectedError } from '../errors.js';
import type { Tokens } from '../token-set.js';
import { asText, type JsonObject } from '../json.js';

/** A token response, shape checked, tokens not yet verified (RFC 6749 §5.1). */
export interface TokenResponse extends Tokens {
  /** Seconds; Rollup ID leaves it out, then the token's own `exp` counts. */
  readonly expiresIn?: number;
}

/**
 * Reads a token answer. Throws `TokenRejectedError` when it is not one. `null` and `""` mean absent; only bearer
 * tokens are of use here (RFC 6750).
 */
export function readTokenResponse(body: JsonObject): TokenResponse {
  const accessToken = asText(body['access_token']);
  const type = body['token_type'];
  if (accessToken === undefined) throw new TokenRejectedError('no access token');
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') throw new TokenRejectedError('token type');
  const refreshToken = asText(body['refresh_token']);
  const idToken = asText(body['id_token']);
  const expiresIn = saneSeconds(body['expires_in']);
  return {
    accessToken,
    refreshToken,
    idToken,
    ...(expiresIn !== undefined && { expiresIn }),
  };
}

/**
 * When the access token ends: its own `exp`, or earlier when `expires_in` says so. `now` in milliseconds.
 *
 * Throws `TokenRejectedError` when that moment has passed: such a token is of no use to anybody.
 */
export function effectiveExpiry(response: TokenResponse, exp: Date, now: number): Date {
  const told = response.expiresIn === undefined ? Number.POSITIVE_INFINITY : now + response.expiresIn * 1_000;
  const expiry = Math.min(exp.getTime(), told);
  if (expiry <= now) throw new TokenRejectedError('expired');
  return new Date(expiry);
}

/** Some providers write the number as text. What is no positive number is no statement at all. */
function saneSeconds(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds : undefined;
}
