import { decodeProtectedHeader, errors as jose, jwtVerify, type JWTPayload } from 'jose';
import { TokenRejectedError } from '../errors.js';
import type { Issuer } from './issuer.js';
import type { SelectKey } from './key-set.js';

/** What a token is verified against. */
export interface VerifierOptions {
  readonly issuer: Issuer;
  readonly clientId: string;
  /** Milliseconds. */
  readonly now: () => number;
  /** Whether an ID token must have the nonce of its request. Those of Rollup ID never have one. */
  readonly nonceRequired?: boolean;
}

/** The claims that every token of Rollup ID has, types checked. */
export interface TokenClaims extends JWTPayload {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | string[];
  readonly iat: number;
}

/** Tolerated difference between the clocks of two machines, for `exp`, `nbf` and `iat`. */
export const CLOCK_SKEW_SECONDS = 30;
/** Three segments of unpadded base64url. `{` encodes to a leading `e`; a byte order mark does not. */
const COMPACT_JWS = /^e[\w-]+\.e[\w-]+\.[\w-]+$/;
/** The reason why a token is rejected whose key the issuer does not publish. */
export const UNKNOWN_KEY = new jose.JWKSNoMatchingKey().code;
/** Longer than any token of Rollup ID, which have 60 to about 800 characters. */
const MAX_TOKEN_LENGTH = 16_000;

/**
 * Verifies what all kinds of token have in common: ES256 by a key of the issuer's key set, the exact issuer, our client
 * id in `aud`, a `sub`, an `iat` that is not in the future, and `exp`/`nbf` where present.
 *
 * Keys or URLs inside the token (`jku`, `jwk`, `x5u`, `x5c`) are never used. A token without `kid` is accepted only while
 * the key set holds a single key (OpenID Connect Core §10.1).
 *
 * Throws `TokenRejectedError`, or `ProviderUnavailableError` when the keys cannot be fetched.
 */
export async function verifyToken(
  token: string,
  { issuer, clientId, now }: VerifierOptions,
): Promise<TokenClaims> {
  if (token.length > MAX_TOKEN_LENGTH) throw new TokenRejectedError('too long');
  if (!COMPACT_JWS.test(token)) throw new TokenRejectedError('malformed');
  const options = {
    algorithms: ['ES256'],
    issuer: issuer.issuer,
    audience: clientId,
    clockTolerance: CLOCK_SKEW_SECONDS,
    currentDate: new Date(now()),
  };
  const verify = async (selectKey: SelectKey): Promise<JWTPayload> => {
    const { payload, protectedHeader } = await jwtVerify(token, selectKey, options);
    // jose supports the extension b64; Rollup ID uses no extensions (RFC 7515 §4.1.11).
    if (protectedHeader.crit !== undefined) throw new TokenRejectedError('crit');
    return payload;
  };
  const keys = await issuer.keys();
  const payload = await verify(keys)
    .catch(async (error: unknown) => {
      if (!(error instanceof jose.JWKSNoMatchingKey)) throw error;
      const refreshed = await issuer.refreshKeys(decodeProtectedHeader(token).kid);
      if (refreshed === keys) throw error;
      return verify(refreshed);
    })
    .catch(rejectToken);
  return checkClaims(payload, now());
}

/** Callers handle every error of jose alike; its code goes to the log. */
function rejectToken(error: unknown): never {
  if (error instanceof jose.JOSEError || error instanceof TypeError || error instanceof DOMException) {
    throw new TokenRejectedError(error instanceof jose.JOSEError ? error.code : 'unreadable', {
      cause: error,
    });
  }
  throw error;
}

/**
 * Checks what jose does not: the types of most claims, and an `iat` in the future.
 *
 * A `sub` is a URN of printable ASCII (Rollup ID), or at most 255 such characters (OpenID Connect Core §2).
 */
function checkClaims(payload: JWTPayload, now: number): TokenClaims {
  const { iss, sub, aud, iat } = payload;
  if (iss === undefined || aud === undefined) throw new TokenRejectedError('missing claim');
  if (typeof sub !== 'string' || !/^[\x21-\x7E]{1,1000}$/.test(sub)) throw new TokenRejectedError('sub');
  if (Array.isArray(aud) && !aud.every((entry) => typeof entry === 'string')) {
    throw new TokenRejectedError('aud');
  }
  if (typeof iat !== 'number' || iat <= 0 || iat > now / 1_000 + CLOCK_SKEW_SECONDS) {
    throw new TokenRejectedError('iat');
  }
  return { ...payload, iss, sub, aud, iat };
}

/** Reads `exp` (seconds). Throws `TokenRejectedError` unless it follows `iat` by at most `maxLifetimeSeconds`. */
export function requireExpiry(claims: TokenClaims, maxLifetimeSeconds: number): number {
  const { exp } = claims;
  if (typeof exp !== 'number' || exp <= claims.iat || exp - claims.iat > maxLifetimeSeconds) {
    throw new TokenRejectedError('exp');
  }
  return exp;
}
