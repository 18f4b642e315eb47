import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';

interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

/** The provider's ES256 keys; the newest signs. A `kid` is a millisecond timestamp as a string, as at Rollup ID. */
export class SigningKeys {
  #keys: readonly [SigningKey, ...SigningKey[]];

  private constructor(keys: readonly [SigningKey, ...SigningKey[]]) {
    this.#keys = keys;
  }

  /** Generates a set of one key; `now` in milliseconds. */
  static async generate(now: number): Promise<SigningKeys> {
    return new SigningKeys([await generateKey(String(now))]);
  }

  /** Restores the set from `toJSON`. Throws a `TypeError` for an invalid key. */
  static async restore(jwks: readonly JWK[]): Promise<SigningKeys> {
    const [first, ...others] = await Promise.all(jwks.map(restoreKey));
    if (first === undefined) throw new TypeError('A key set needs at least one key');
    return new SigningKeys([first, ...others]);
  }

  /** The signing key. */
  get current(): { readonly kid: string; readonly privateKey: CryptoKey } {
    return this.#keys[0];
  }

  /** The public key with this `kid`. */
  find(kid: string | undefined): CryptoKey | undefined {
    return this.#keys.find((key) => key.kid === kid)?.publicKey;
  }

  /** Adds a new signing key, `now` in milliseconds; the earlier ones stay published if `keepOld`. */
  async rotate(now: number, keepOld: boolean): Promise<void> {
    const kid = String(Math.max(now, Number(this.current.kid) + 1));
    const key = await generateKey(kid);
    this.#keys = keepOld ? [key, ...this.#keys] : [key];
  }

  /** The published key set (RFC 7517), without `use` and `key_ops`, as at Rollup ID. */
  published(): { keys: Record<string, unknown>[] } {
    return {
      keys: this.#keys.map(({ kid, jwk }) => ({
        alg: 'ES256',
        kid,
        kty: 'EC',
        crv: 'P-256',
        x: jwk.x,
        y: jwk.y,
      })),
    };
  }

  /** The private keys, for the state file. */
  toJSON(): JWK[] {
    return this.#keys.map(({ kid, jwk }) => ({ ...jwk, kid }));
  }
}

async function generateKey(kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  return { kid, privateKey, publicKey, jwk: await exportJWK(privateKey) };
}

async function restoreKey(jwk: JWK): Promise<SigningKey> {
  const { kid, d, ...publicPart } = jwk;
  if (kid === undefined || d === undefined) throw new TypeError('A signing key needs kid and private part');
  const privateKey = await importJWK({ ...publicPart, d }, 'ES256');
  const publicKey = await importJWK(publicPart, 'ES256');
  if (privateKey instanceof Uint8Array || publicKey instanceof Uint8Array) {
    throw new TypeError('A signing key must be an EC key');
  }
  return { kid, privateKey, publicKey, jwk: { ...publicPart, d } };
}
