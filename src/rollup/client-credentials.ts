import { randomBytes } from 'node:crypto';
import { CodeRejectedError } from '../errors.js';
import type { RollupClient } from './rollup-client.js';

/**
 * Presents a made-up code: a provider checks the client before the code (Rollup ID does; RFC 6749 §5.2), so one that
 * rejects the code has accepted the credentials. Nobody's token or code is used up.
 *
 * Resolves with `unclear` for a response that may come from either check. Throws `ProviderMisconfiguredError` for
 * wrong credentials, and `ProviderUnavailableError` or `TokenRejectedError` for an unusable response.
 */
export async function tryCredentials(
  client: Pick<RollupClient, 'exchangeCode'>,
  redirectUri: string,
): Promise<'accepted' | 'unclear'> {
  try {
    await client.exchangeCode({
      code: `0x${randomBytes(24).toString('hex')}`,
      codeVerifier: randomBytes(32).toString('base64url'),
      redirectUri,
    });
    return 'unclear';
  } catch (error) {
    if (!(error instanceof CodeRejectedError)) throw error;
    // RFC 6749 §5.2: a malformed request, which may be found before the client is looked at.
    return String(error.cause).includes('invalid_request') ? 'unclear' : 'accepted';
  }
}
