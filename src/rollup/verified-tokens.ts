import { createHash } from 'node:crypto';
import { type AccessToken, verifyAccessToken } from './access-token.js';
import type { FindKey } from './issuer.js';
import type { VerifierOptions } from './token-verifier.js';

/** A signature check costs more than the rest of a small query, and the same token comes again and again. */
const MAX_REMEMBERED = 10_000;

/**
 * Verifies access tokens and remembers those that passed, by SHA-256 of the whole token, until their `exp` and
 * no longer than the key set they were verified with is in use.
 */
export function createAccessTokenVerifier(options: VerifierOptions): (token: string) => Promise<AccessToken> {
  const remembered = new Map<string, AccessToken>();
  let keys: FindKey | undefined;
  return async (token) => {
    const current = await options.issuer.keys();
    if (current !== keys) {
      remembered.clear();
      keys = current;
    }
    const id = createHash('sha256').update(token).digest('base64');
    const known = remembered.get(id);
    if (known && known.expiresAt.getTime() > options.now()) return known;
    const verified = await verifyAccessToken(token, options);
    if (remembered.size >= MAX_REMEMBERED) {
      const [oldest = ''] = remembered.keys();
      remembered.delete(oldest);
    }
    remembered.set(id, verified);
    return verified;
  };
}
