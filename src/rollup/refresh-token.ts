import { decodeProtectedHeader } from 'jose';
import { SubjectMismatchError, TokenRejectedError } from '../errors.js';
import { verifyToken, type VerifierOptions } from './token-verifier.js';

/**
 * Checks that a refresh token belongs to `sub`, as far as it can be seen.
 *
 * Rollup ID's are signed tokens with `scope` and, in its present form, without `exp`. A standard provider's are
 * opaque, and then only the provider can tell.
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
