import { importJWK, type createLocalJWKSet, type JWK } from 'jose';
import { ProviderUnavailableError } from '../errors.js';
import { asObjects, asText, type JsonObject } from '../json.js';
import type { Fetch } from '../fetch.js';
import { callProvider, readJsonObject } from '../provider-call.js';

/** Selects the verification key of a token by its header. The same function as long as the key set is the same. */
export type SelectKey = ReturnType<typeof createLocalJWKSet>;

const MAX_KEYS = 100;

/**
 * Fetches a JWK Set (RFC 7517 §5) and returns its usable ES256 keys, each once; all others are ignored. Different keys
 * that share a `kid`, or have none, cannot be told apart, and none is tried in turn: of those only the one that is among
 * the `known` keys counts.
 *
 * Throws `ProviderUnavailableError` when none is usable: the cached key set is better.
 */
export async function fetchKeySet(
  url: string,
  fetch: Fetch,
  timeoutMs: number,
  known: readonly JWK[] = [],
): Promise<JWK[]> {
  const { keys } = readJsonObject(await callProvider(fetch, { url, timeoutMs }));
  const listed = Array.isArray(keys) && keys.length <= MAX_KEYS ? asObjects(keys) : [];
  const candidates = listed.filter(isSigningKey).map(publicKeyOf);
  const imports = await Promise.allSettled(candidates.map((key) => importJWK(key, 'ES256')));
  const good = candidates.filter((_, index) => imports[index]?.status === 'fulfilled');
  const different = new Map(good.map((key) => [JSON.stringify(key), key]));
  const isKnown = new Set(known.map((key) => JSON.stringify(key)));
  const isAlone = (kid: unknown): boolean =>
    [...different.values()].filter((key) => key.kid === kid).length === 1;
  const usable = [...different]
    .filter(([text, { kid }]) => isAlone(kid) || isKnown.has(text))
    .map(([, key]) => key);
  if (usable.length > 0) return usable;
  throw new ProviderUnavailableError(0, { cause: new Error('the key set holds no usable keys for ES256') });
}

/** The key alone, so that the same one is the same text. A `kid` that is no text names nothing. */
function publicKeyOf({ kid, x, y }: JsonObject): JWK {
  const name = asText(kid);
  return { kty: 'EC', crv: 'P-256', x: String(x), y: String(y), ...(name !== undefined && { kid: name }) };
}

/** A public P-256 key for verifying ES256 signatures, as far as its parameters say (RFC 7517 §4). */
function isSigningKey(jwk: JsonObject): boolean {
  const { kty, crv, x, y, d, use = 'sig', alg = 'ES256', key_ops: operations = ['verify'] } = jwk;
  const isPublicP256 =
    kty === 'EC' && crv === 'P-256' && typeof x === 'string' && typeof y === 'string' && d === undefined;
  const isForVerifying =
    use === 'sig' && alg === 'ES256' && Array.isArray(operations) && operations.includes('verify');
  return isPublicP256 && isForVerifying;
}
