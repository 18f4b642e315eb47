import { TokenRejectedError } from '../errors.js';
import { parseScope } from '../scope.js';
import { requireExpiry, verifyToken, type VerifierOptions } from './token-verifier.js';

/** The claims of a verified access token. */
export interface AccessToken {
  readonly issuer: string;
  /** The identity URN, byte for byte. */
  readonly sub: string;
  readonly scopes: readonly string[];
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** Access tokens of Rollup ID live an hour. Its internal session tokens live 90 days and have the same signing key. */
export const MAX_LIFETIME_SECONDS = 86_400;

/**
 * Verifies an access token. Only the claims distinguish the three kinds of token that Rollup ID signs: an access token
 * has `scope` and `exp`, an ID token has no `scope`, a refresh token has no `exp`.
 *
 * Throws `TokenRejectedError` or `ProviderUnavailableError`.
 */
export async function verifyAccessToken(token: string, options: VerifierOptions): Promise<AccessToken> {
  const claims = await verifyToken(token, options);
  const { scope, jti } = claims;
  if (typeof scope !== 'string' || scope.trim() === '') throw new TokenRejectedError('scope');
  if (typeof jti !== 'string' || jti === '') throw new TokenRejectedError('jti');
  const exp = requireExpiry(claims, MAX_LIFETIME_SECONDS);
  return {
    issuer: claims.iss,
    sub: claims.sub,
    scopes: parseScope(scope),
    issuedAt: new Date(claims.iat * 1_000),
    expiresAt: new Date(exp * 1_000),
  };
}
