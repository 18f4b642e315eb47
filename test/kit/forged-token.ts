import { generateKeyPairSync, type KeyObject, sign, type SignKeyObjectInput } from 'node:crypto';
import { type CryptoKey, generateKeyPair, type JWK } from 'jose';

/** A key pair: the public key as a key set publishes it, and a function that signs with the private key. */
export interface Signer {
  readonly jwk: JWK;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly sign: (input: string) => Buffer;
}

/** An elliptic-curve key; `alg` is only the value in the published key. */
export function ecSigner(kid: string, namedCurve = 'P-256', alg = 'ES256', hash = 'sha256'): Signer {
  return signer({ kid, alg }, generateKeyPairSync('ec', { namedCurve }), hash, {
    dsaEncoding: 'ieee-p1363',
  });
}

/** An RSA key. */
export function rsaSigner(kid: string, alg: string, options: Omit<SignKeyObjectInput, 'key'> = {}): Signer {
  return signer({ kid, alg }, generateKeyPairSync('rsa', { modulusLength: 2048 }), 'sha256', options);
}

/** An Ed25519 key. */
export function edSigner(kid: string): Signer {
  return signer({ kid, alg: 'EdDSA' }, generateKeyPairSync('ed25519'), null, {});
}

function signer(
  names: { kid: string; alg: string },
  { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
  hash: string | null,
  options: Omit<SignKeyObjectInput, 'key'>,
): Signer {
  return {
    jwk: { ...(publicKey.export({ format: 'jwk' }) as JWK), ...names },
    publicKey,
    privateKey,
    sign: (input) => sign(hash, Buffer.from(input), { ...options, key: privateKey }),
  };
}

/** A private key that is in no key set. */
export async function foreignKey(): Promise<CryptoKey> {
  return (await generateKeyPair('ES256')).privateKey;
}

/** One base64url segment: text and bytes unchanged, anything else as JSON. */
export function segment(content: unknown): string {
  const raw = typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content);
  return Buffer.from(raw as string).toString('base64url');
}

/** A compact JWS (RFC 7515) of any header and claims. */
export function compact(header: unknown, claims: unknown, signWith: (input: string) => Buffer): string {
  const input = `${segment(header)}.${segment(claims)}`;
  return `${input}.${signWith(input).toString('base64url')}`;
}

/** The token with another signature. */
export function withSignature(token: string, signature: Buffer | string): string {
  const [header = '', payload = ''] = token.split('.');
  const text = typeof signature === 'string' ? signature : signature.toString('base64url');
  return `${header}.${payload}.${text}`;
}

/** A self-signed certificate for 127.0.0.1 (RFC 5280), in DER. */
export function selfSigned({ publicKey, privateKey }: Pick<Signer, 'publicKey' | 'privateKey'>): Buffer {
  const algorithm = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'));
  const commonName = der(0x30, Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from('127.0.0.1')));
  const name = der(0x30, der(0x31, commonName));
  const validity = der(
    0x30,
    der(0x17, Buffer.from('200101000000Z')),
    der(0x17, Buffer.from('491231235959Z')),
  );
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const body = der(0x30, der(0x02, Buffer.of(1)), algorithm, name, validity, name, key);
  return der(0x30, body, algorithm, der(0x03, Buffer.of(0), sign('sha256', body, privateKey)));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, Math.floor(length / 256), length % 256];
  return Buffer.concat([Buffer.of(tag, ...size), body]);
}
