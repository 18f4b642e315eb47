import { LinkedToAnotherUserError } from '../errors.js';
import { type Grant, proveRefreshToken, verifyGrant } from '../rollup/grant.js';
import { isOpaque } from '../rollup/refresh-token.js';
import type { Tokens } from '../token-set.js';
import type { LinkAttemptDeps } from './link-attempt.js';
import type { StoreDeps } from './store-link.js';

/**
 * Verifies tokens that were obtained elsewhere. An opaque refresh token is proved by using it once, but not for a link that
 * will be refused.
 *
 * Throws `TokenRejectedError`, `SubjectMismatchError`, `LinkedToAnotherUserError`, `ProviderUnavailableError` or
 * `ProviderMisconfiguredError`.
 */
export async function verifyTakenOver(
  {
    findIdentity,
    client,
    verifier,
  }: Pick<LinkAttemptDeps, 'client' | 'verifier'> & Pick<StoreDeps, 'findIdentity'>,
  tokens: Tokens,
  userId: string | undefined,
): Promise<Grant> {
  const grant = await verifyGrant(tokens, client, verifier);
  const { refreshToken } = tokens;
  if (refreshToken === undefined || !isOpaque(refreshToken)) return grant;
  if (userId !== undefined) {
    const known = await findIdentity(grant.sub);
    if (known && known.account.userId !== userId) throw new LinkedToAnotherUserError();
  }
  return proveRefreshToken(grant, refreshToken, client, verifier);
}
