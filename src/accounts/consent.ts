import { ConsentMissingError, ReauthenticationRequiredError } from '../errors.js';
import { missingScopes } from '../scope.js';
import type { TokenState } from '../token-set.js';

/**
 * What is fetched with an account's own tokens needs their consent as well: the identities of one user may have
 * consented to different things. Throws `ReauthenticationRequiredError` or `ConsentMissingError`.
 */
export function requireConsent(
  { status, scopes }: Pick<TokenState, 'status' | 'scopes'>,
  required: readonly string[],
): void {
  if (status !== 'ACTIVE') throw new ReauthenticationRequiredError();
  const missing = missingScopes(required, scopes);
  if (missing.length > 0) throw new ConsentMissingError(required, missing);
}
