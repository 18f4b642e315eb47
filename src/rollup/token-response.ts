import { TokenRejectedError } from '../errors.js';
import type { Tokens } from '../token-set.js';
import { asText, type JsonObject } from '../json.js';

/** A token response (RFC 6749 §5.1): shape checked, tokens not yet verified. */
export interface TokenResponse extends Tokens {
  /** Seconds. Rollup ID omits it; then only the `exp` of the token counts. */
  readonly expiresIn?: number;
}

/**
 * Reads a token response. `null` and `""` mean absent.
 *
 * Throws `TokenRejectedError` unless it holds an access token of type bearer (RFC 6750).
 */
export function readTokenResponse(body: JsonObject): TokenResponse {
  const accessToken = asText(body['access_token']);
  const type = body['token_type'];
  if (accessToken === undefined) throw new TokenRejectedError('no access token');
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') throw new TokenRejectedError('token type');
  const refreshToken = asText(body['refresh_token']);
  const idToken = asText(body['id_token']);
  const expiresIn = positiveSeconds(body['expires_in']);
  return { accessToken, refreshToken, idToken, ...(expiresIn !== undefined && { expiresIn }) };
}

/**
 * When the access token expires: at its `exp`, or after `expires_in` if that is earlier. `now` in milliseconds.
 *
 * Throws `TokenRejectedError` when it has expired already.
 */
export function effectiveExpiry(response: TokenResponse, exp: Date, now: number): Date {
  const byExpiresIn =
    response.expiresIn === undefined ? Number.POSITIVE_INFINITY : now + response.expiresIn * 1_000;
  const expiry = Math.min(exp.getTime(), byExpiresIn);
  if (expiry <= now) throw new TokenRejectedError('expired');
  return new Date(expiry);
}

/** Some providers send the number as a string. Anything but a positive number counts as absent. */
function positiveSeconds(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds : undefined;
}
