import { createLocalJWKSet, importJWK, type JWK } from 'jose';
import { ProviderMisconfiguredError, ProviderUnavailableError } from '../errors.js';
import { StaleWhileRevalidate, type CacheLifetimes } from './stale-while-revalidate.js';
import { callProvider, type Fetch, readJsonObject } from '../provider-call.js';
import { UnknownKeyIds } from './unknown-key-ids.js';

/** The provider's addresses, read from its discovery document (OpenID Connect Discovery §3). */
export interface Endpoints {
  readonly authorization: string;
  readonly token: string;
  readonly userinfo: string;
  readonly jwks: string;
  /** Where tokens are revoked (RFC 7009); Rollup ID has no such place. */
  readonly revocation: string | undefined;
}

/** Finds the key of a token by its header; the same object as long as the key set is the same. */
export type FindKey = ReturnType<typeof createLocalJWKSet>;

/** The provider as the settings name it: where its endpoints are and which keys it signs with. */
export interface Issuer {
  readonly issuer: string;
  /** Throws `ProviderUnavailableError`, or `ProviderMisconfiguredError` when the document is not this issuer's. */
  endpoints(): Promise<Endpoints>;
  keys(): Promise<FindKey>;
  /**
   * For a key id that `keys()` does not hold: fetched anew once in a cool-down, and once more for an id that is still
   * asked for after three seconds.
   */
  renewedKeys(kid: unknown): Promise<FindKey>;
}

/** What an issuer is made of; times in milliseconds. */
export interface IssuerOptions {
  readonly issuer: string;
  readonly timeoutMs: number;
  readonly keyTimes: CacheLifetimes;
  readonly fetch: Fetch;
  readonly now: () => number;
}

const MAX_KEYS = 100;

/** Discovery and keys are fetched when first needed; a provider that is down does not keep the server from starting. */
export function createIssuer(options: IssuerOptions): Issuer {
  const { issuer, keyTimes, now } = options;
  const discovery = new StaleWhileRevalidate(() => discover(options), keyTimes, now);
  let known: { readonly text: string; readonly findKey: FindKey } | undefined;
  const loadKeys = async (): Promise<FindKey> => {
    const fetched = await fetchKeys(options, (await discovery.get()).jwks);
    const text = JSON.stringify(fetched);
    if (known?.text !== text) known = { text, findKey: createLocalJWKSet({ keys: fetched }) };
    return known.findKey;
  };
  const keys = new StaleWhileRevalidate(loadKeys, keyTimes, now);
  const unknownIds = new UnknownKeyIds(now);
  return {
    issuer,
    endpoints: () => discovery.get(),
    keys: () => keys.get(),
    renewedKeys: (kid) => keys.renew(unknownIds.isInsistent(kid)),
  };
}

async function discover({ issuer, fetch, timeoutMs }: IssuerOptions): Promise<Endpoints> {
  const url = `${issuer}/.well-known/openid-configuration`;
  const document = readJsonObject(await callProvider(fetch, { url, timeoutMs }));
  if (document['issuer'] !== issuer) {
    throw new ProviderMisconfiguredError({
      cause: new Error('discovery names another issuer than ROLLUP_ISSUER'),
    });
  }
  return {
    authorization: endpoint(document, 'authorization_endpoint', issuer),
    token: endpoint(document, 'token_endpoint', issuer),
    userinfo: endpoint(document, 'userinfo_endpoint', issuer),
    jwks: endpoint(document, 'jwks_uri', issuer),
    revocation:
      document['revocation_endpoint'] === undefined
        ? undefined
        : endpoint(document, 'revocation_endpoint', issuer),
  };
}

/** Credentials go to the issuer's own origin only, which also carries its https over to every endpoint. */
function endpoint(document: Record<string, unknown>, name: string, issuer: string): string {
  const value = document[name];
  if (typeof value === 'string' && URL.parse(value)?.origin === issuer) return value;
  throw new ProviderMisconfiguredError({
    cause: new Error(`discovery: ${name} is not on the issuer's origin`),
  });
}

async function fetchKeys({ fetch, timeoutMs }: IssuerOptions, url: string): Promise<JWK[]> {
  const { keys } = readJsonObject(await callProvider(fetch, { url, timeoutMs }));
  const candidates = Array.isArray(keys) && keys.length <= MAX_KEYS ? keys.filter(isSigningKey) : [];
  const imports = await Promise.allSettled(candidates.map((key) => importJWK(key, 'ES256')));
  const usable = candidates.filter((_, index) => imports[index]?.status === 'fulfilled');
  // Two keys of one id cannot be told apart: such a set is no better than none, and the last good one stays.
  const ambiguous = new Set(usable.map(({ kid }) => kid)).size < usable.length;
  if (usable.length === 0 || ambiguous) {
    throw new ProviderUnavailableError(0, { cause: new Error('the key set holds no usable keys for ES256') });
  }
  return usable;
}

/** By its words a public P-256 key that is meant for verifying (RFC 7517 §4); everything else is left aside. */
function isSigningKey(key: unknown): key is JWK {
  if (typeof key !== 'object' || key === null) return false;
  const jwk = key as JWK;
  return (
    jwk.kty === 'EC' &&
    jwk.crv === 'P-256' &&
    typeof jwk.x === 'string' &&
    typeof jwk.y === 'string' &&
    jwk.d === undefined &&
    (jwk.use === undefined || jwk.use === 'sig') &&
    (jwk.alg === undefined || jwk.alg === 'ES256') &&
    (jwk.key_ops === undefined || (Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify')))
  );
}
