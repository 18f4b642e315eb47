import { LinkedToAnotherUserError } from '../errors.js';
import { type Grant, proveRefreshToken, verifyGrant } from '../rollup/grant.js';
import { isOpaque } from '../rollup/refresh-token.js';
import type { Tokens } from '../token-set.js';
import { findAccountsOfIdentities } from './account.repository.js';
import type { LinkAttemptDeps } from './link-attempt.js';

/**
 * Verifies tokens that were obtained elsewhere. An opaque refresh token is proved by using it once, but not for a link that
 * will be refused.
 *
 * Throws `TokenRejectedError`, `SubjectMismatchError`, `LinkedToAnotherUserError`, `ProviderUnavailableError` or
 * `ProviderMisconfiguredError`.
 */
export async function verifyTakenOver(
  { em, client, verifier }: Pick<LinkAttemptDeps, 'em' | 'client' | 'verifier'>,
  tokens: Tokens,
  userId: string | undefined,
): Promise<Grant> {
  const grant = await verifyGrant(tokens, client, verifier);
  const { refreshToken } = tokens;
  if (refreshToken === undefined || !isOpaque(refreshToken)) return grant;
  if (userId !== undefined) {
    const [account] = await findAccountsOfIdentities(em.fork(), grant.issuer, [grant.sub]);
    if (account && account.userId !== userId) throw new LinkedToAnotherUserError();
  }
  return proveRefreshToken(grant, refreshToken, client, verifier);
}
