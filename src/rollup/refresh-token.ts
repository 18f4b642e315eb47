import { decodeProtectedHeader } from 'jose';
import { SubjectMismatchError, TokenRejectedError } from '../errors.js';
import { MAX_LIFETIME_SECONDS } from './access-token.js';
import { verifyToken, type VerifierOptions } from './token-verifier.js';

/**
 * Checks that a refresh token is one, of ours, and of `sub`, unless it is opaque.
 *
 * Those of Rollup ID are signed tokens with `scope` and without `exp`, or with one that is months ahead in early
 * versions: what ends within a day is an access token, which it would accept as well. Those of a standard provider are
 * opaque: only the provider can check them.
 *
 * Throws `SubjectMismatchError`, `TokenRejectedError` or `ProviderUnavailableError`.
 */
export async function checkRefreshToken(token: string, sub: string, options: VerifierOptions): Promise<void> {
  if (isOpaque(token)) return;
  const { iat, exp, scope, ...claims } = await verifyToken(token, options);
  if (claims.sub !== sub) throw new SubjectMismatchError();
  const isAccessToken = exp !== undefined && exp - iat <= MAX_LIFETIME_SECONDS;
  if (typeof scope !== 'string' || isAccessToken) throw new TokenRejectedError('not a refresh token');
}

/** Whether only the provider can tell what a token is: it is not signed. */
export function isOpaque(token: string): boolean {
  try {
    return typeof decodeProtectedHeader(token).alg !== 'string';
  } catch {
    return true;
  }
}
