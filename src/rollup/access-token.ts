import { TokenRejectedError } from '../errors.js';
import { parseScope } from '../scope.js';
import { requireExpiry, verifyToken, type VerifierOptions } from './token-verifier.js';

/** What a verified access token says. */
export interface AccessToken {
  readonly issuer: string;
  /** The identity URN, byte for byte. */
  readonly sub: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date;
}

/** Rollup ID gives an hour. Its internal session tokens live 90 days and are signed with the same key. */
const MAX_LIFE_SECONDS = 86_400;

/**
 * Verifies an access token. Rollup ID signs three kinds of token alike; only the claims tell them apart: an
 * access token has `scope` and `exp`, an ID token has no `scope`, a refresh token has no `exp`.
 *
 * Throws `TokenRejectedError` or `ProviderUnavailableError`.
 */
export async function verifyAccessToken(token: string, options: VerifierOptions): Promise<AccessToken> {
  const claims = await verifyToken(token, options);
  const { scope, jti } = claims;
  if (typeof scope !== 'string' || scope.trim() === '') throw new TokenRejectedError('scope');
  if (typeof jti !== 'string' || jti === '') throw new TokenRejectedError('jti');
  const exp = requireExpiry(claims, MAX_LIFE_SECONDS);
  return {
    issuer: claims.iss,
    sub: claims.sub,
    scopes: parseScope(scope),
    expiresAt: new Date(exp * 1_000),
  };
}
