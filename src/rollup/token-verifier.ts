import { decodeProtectedHeader, errors as jose, jwtVerify, type JWTPayload } from 'jose';
import { TokenRejectedError } from '../errors.js';
import type { Issuer } from './issuer.js';

/** What a token is checked against. */
export interface VerifierOptions {
  readonly issuer: Issuer;
  readonly clientId: string;
  /** Milliseconds. */
  readonly now: () => number;
  /** Whether an ID token must carry the nonce of its request; Rollup ID's never do. */
  readonly nonceRequired?: boolean;
}

/** Claims that every token of Rollup ID carries, types checked. */
export interface TokenClaims extends JWTPayload {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | string[];
  readonly iat: number;
}

/** Clocks of two machines may differ by this much; both ways, for `exp`, `nbf` and `iat`. */
export const CLOCK_SKEW_SECONDS = 30;
/** Three segments of base64url, unpadded. A JSON object always begins with `e` there, and a BOM does not. */
const COMPACT_JWS = /^e[\w-]+\.e[\w-]+\.[\w-]+$/;
/** Longer than any token Rollup ID hands out: its tokens have 60 to some 800 characters. */
const MAX_TOKEN_LENGTH = 16_000;

/**
 * Verifies what all kinds of token share: ES256 by a key of the issuer's own key set, the exact issuer, our
 * client id in `aud`, a `sub`, an `iat` that is not in the future, and `exp`/`nbf` where present.
 *
 * Key material or addresses inside the token (`jku`, `jwk`, `x5u`, `x5c`) are never read. A token without
 * `kid` is accepted only while the key set holds a single key (OpenID Connect Core §10.1).
 *
 * Throws `TokenRejectedError`, or `ProviderUnavailableError` when the keys cannot be had.
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
  const verify = async (findKey: Awaited<ReturnType<Issuer['keys']>>): Promise<JWTPayload> => {
    const { payload, protectedHeader } = await jwtVerify(token, findKey, options);
    // jose knows the extension b64; Rollup ID uses none.
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
    .catch(reject);
  return checkClaims(payload, now());
}

/** Every failure of jose means the same to a caller; which one it was goes to the log. */
function reject(error: unknown): never {
  if (error instanceof jose.JOSEError || error instanceof TypeError || error instanceof DOMException) {
    throw new TokenRejectedError(error instanceof jose.JOSEError ? error.code : 'unreadable', {
      cause: error,
    });
  }
  throw error;
}

/**
 * A `sub` is a URN of printable ASCII (Rollup ID), or at most 255 such characters (OpenID Connect Core §2).
 *
 * jose leaves the types of most claims alone, and `iat` in the future too.
 */
function checkClaims(payload: JWTPayload, now: number): TokenClaims {
  const { sub, aud, iat } = payload;
  if (typeof sub !== 'string' || !/^[\x21-\x7E]{1,1000}$/.test(sub)) throw new TokenRejectedError('sub');
  if (Array.isArray(aud) && !aud.every((entry) => typeof entry === 'string'))
    throw new TokenRejectedError('aud');
  if (typeof iat !== 'number' || iat <= 0 || iat > now / 1_000 + CLOCK_SKEW_SECONDS)
    throw new TokenRejectedError('iat');
  return payload as TokenClaims;
}

/** Reads `exp` (seconds). Throws `TokenRejectedError` unless it follows `iat` by at most `maxLifeSeconds`. */
export function requireExpiry(claims: TokenClaims, maxLifeSeconds: number): number {
  const { exp } = claims;
  if (typeof exp !== 'number' || exp <= claims.iat || exp - claims.iat > maxLifeSeconds) {
    throw new TokenRejectedError('exp');
  }
  return exp;
}
