import { decodeProtectedHeader } from 'jose';
import { SubjectMismatchError, TokenRejectedError } from '../errors.js';
import { verifyToken, type VerifierOptions } from './token-verifier.js';

/**
 * Checks that a refresh token belongs to `sub`, unless it is opaque.
 *
 * Those of Rollup ID are signed tokens with `scope` and, at present, without `exp`. Those of a standard provider are
 * opaque: only the provider can check them.
 *
 * Throws `SubjectMismatchError`, `TokenRejectedError` or `ProviderUnavailableError`.
 */
export async function checkRefreshToken(token: string, sub: string, options: VerifierOptions): Promise<void> {
  if (!isSigned(token)) return;
  const claims = await verifyToken(token, options);
  if (claims.sub !== sub) throw new SubjectMismatchError();
  if (typeof claims['scope'] !== 'string') throw new TokenRejectedError('not a refresh token');
}

function isSigned(token: string): boolean {
  try {
    return typeof decodeProtectedHeader(token).alg === 'string';
  } catch {
    return false;
  }
}
