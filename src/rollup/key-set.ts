import { importJWK, type createLocalJWKSet, type JWK } from 'jose';
import { ProviderUnavailableError } from '../errors.js';
import { asObjects, type JsonObject } from '../json.js';
import { callProvider, type Fetch, readJsonObject } from '../provider-call.js';

/** Selects the verification key of a token by its header. The same function as long as the key set is the same. */
export type SelectKey = ReturnType<typeof createLocalJWKSet>;

const MAX_KEYS = 100;

/**
 * Fetches a JWK Set (RFC 7517 §5) and returns its usable ES256 keys; all others are ignored.
 *
 * Throws `ProviderUnavailableError` when none is usable or two share a `kid`: such keys cannot be told apart, and the
 * cached key set is better.
 */
export async function fetchKeySet(url: string, fetch: Fetch, timeoutMs: number): Promise<JWK[]> {
  const { keys } = readJsonObject(await callProvider(fetch, { url, timeoutMs }));
  const candidates =
    Array.isArray(keys) && keys.length <= MAX_KEYS ? asObjects(keys).filter(isSigningKey) : [];
  const imports = await Promise.allSettled(candidates.map((key) => importJWK(key, 'ES256')));
  const usable = candidates.filter((_, index) => imports[index]?.status === 'fulfilled');
  const ambiguous = new Set(usable.map(({ kid }) => kid)).size < usable.length;
  if (usable.length === 0 || ambiguous) {
    throw new ProviderUnavailableError(0, { cause: new Error('the key set holds no usable keys for ES256') });
  }
  return usable;
}

/** A public P-256 key for verifying ES256 signatures, as far as its parameters say (RFC 7517 §4). */
function isSigningKey(jwk: JsonObject): jwk is JWK & JsonObject {
  const { kty, crv, x, y, d, use = 'sig', alg = 'ES256', key_ops: operations = ['verify'] } = jwk;
  const isPublicP256 =
    kty === 'EC' && crv === 'P-256' && typeof x === 'string' && typeof y === 'string' && d === undefined;
  const isForVerifying =
    use === 'sig' && alg === 'ES256' && Array.isArray(operations) && operations.includes('verify');
  return isPublicP256 && isForVerifying;
}
