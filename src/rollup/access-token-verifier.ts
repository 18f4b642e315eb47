import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { TokenRejectedError } from '../errors.js';
import { type AccessToken, verifyAccessToken } from './access-token.js';
import type { SelectKey } from './key-set.js';
import type { VerifierOptions } from './token-verifier.js';

const BAD_SIGNATURE = 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED';
const MAX_TOKENS = 10_000;

/** Results under one key set, by SHA-256 of the whole token. Two caches: forged tokens never evict verified ones. */
interface CachedResults {
  readonly verified: LRUCache<string, AccessToken>;
  readonly forged: LRUCache<string, TokenRejectedError>;
}

/**
 * Verifies access tokens and caches the result: a signature check costs more than the rest of a small query. Verified
 * tokens are cached until their `exp`, tokens with a wrong signature too, both only while the key set is the same.
 *
 * The returned function throws as `verifyAccessToken`.
 */
export function createAccessTokenVerifier(options: VerifierOptions): (token: string) => Promise<AccessToken> {
  let keys: SelectKey | undefined;
  let results = createResults();
  return async (token) => {
    const current = await options.issuer.keys();
    // A verification in flight with the old keys writes to the old results.
    if (current !== keys) [keys, results] = [current, createResults()];
    const { verified, forged } = results;
    const id = createHash('sha256').update(token).digest('base64');
    const cached = verified.get(id);
    if (cached && cached.expiresAt.getTime() > options.now()) return cached;
    const rejection = forged.get(id);
    if (rejection) throw rejection;
    try {
      const accessToken = await verifyAccessToken(token, options);
      verified.set(id, accessToken);
      return accessToken;
    } catch (error) {
      // Any other reason may pass with time.
      if (error instanceof TokenRejectedError && error.reason === BAD_SIGNATURE) forged.set(id, error);
      throw error;
    }
  };
}

function createResults(): CachedResults {
  return { verified: new LRUCache({ max: MAX_TOKENS }), forged: new LRUCache({ max: MAX_TOKENS }) };
}
