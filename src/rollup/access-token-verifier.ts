import { createHash } from 'node:crypto';
import { TokenRejectedError } from '../errors.js';
import { type AccessToken, verifyAccessToken } from './access-token.js';
import type { SelectKey } from './key-set.js';
import { remember } from './remember.js';
import type { VerifierOptions } from './token-verifier.js';

const BAD_SIGNATURE = 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED';

/** What came of tokens under one key set, by SHA-256 of the whole token. */
interface Memory {
  readonly verified: Map<string, AccessToken>;
  readonly forged: Map<string, TokenRejectedError>;
}

/**
 * A signature check costs more than the rest of a small query, and the same token comes again and again.
 *
 * Verifies access tokens and remembers those that passed, until their `exp`, and those whose signature is wrong; both
 * no longer than the key set they were verified with is in use.
 */
export function createAccessTokenVerifier(options: VerifierOptions): (token: string) => Promise<AccessToken> {
  let keys: SelectKey | undefined;
  let memory: Memory = { verified: new Map(), forged: new Map() };
  return async (token) => {
    const current = await options.issuer.keys();
    // A new one: what is being verified with the old keys at this moment goes into the old one.
    if (current !== keys) [keys, memory] = [current, { verified: new Map(), forged: new Map() }];
    const { verified, forged } = memory;
    const id = createHash('sha256').update(token).digest('base64');
    const known = verified.get(id);
    if (known && known.expiresAt.getTime() > options.now()) return known;
    const refusal = forged.get(id);
    if (refusal) throw refusal;
    try {
      return remember(verified, id, await verifyAccessToken(token, options));
    } catch (error) {
      // Any other reason may pass with time.
      if (error instanceof TokenRejectedError && error.reason === BAD_SIGNATURE) remember(forged, id, error);
      throw error;
    }
  };
}
