import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { SealBrokenError } from '../errors.js';
import type { KeyRing } from './key-ring.js';

/** The data key of an account as it is stored: wrapped by a key of the ring. */
export interface WrappedKey {
  /** The `kid` of the key that wraps. */
  readonly keyId: string;
  /** 40 bytes in base64url. */
  readonly dataKey: string;
}

/** AES Key Wrap (RFC 3394) with a 256-bit key and the default initial value, the `A256KW` of RFC 7518 §4.4. */
const WRAP = 'id-aes256-wrap';
const INITIAL_VALUE = Buffer.alloc(8, 0xa6);

/** A new data key: 256 random bits. */
export function createDataKey(): KeyObject {
  return createSecretKey(randomBytes(32));
}

/**
 * Wraps a data key with the first key of the ring. Key wrap is deterministic and has no nonce, so a ring key has no
 * budget; it binds a data key to nothing, since a token opens only with its own data key and in its own place.
 */
export function wrapDataKey(ring: KeyRing, key: KeyObject): WrappedKey {
  const cipher = createCipheriv(WRAP, keyOf(ring, ring.currentKid), INITIAL_VALUE);
  const wrapped = Buffer.concat([cipher.update(key.export()), cipher.final()]);
  return { keyId: ring.currentKid, dataKey: wrapped.toString('base64url') };
}

/** Throws `SealBrokenError`: UNKNOWN_KEY when the ring lacks the key that wraps, DATA_KEY when it does not unwrap. */
export function unwrapDataKey(ring: KeyRing, { keyId, dataKey }: WrappedKey): KeyObject {
  const ringKey = keyOf(ring, keyId);
  const wrapped = Buffer.from(dataKey, 'base64url');
  // Eight bytes more than the key; with none there would be nothing to check.
  const canonical = wrapped.toString('base64url') === dataKey;
  if (wrapped.length !== 40 || !canonical) throw new SealBrokenError('DATA_KEY');
  try {
    const decipher = createDecipheriv(WRAP, ringKey, INITIAL_VALUE);
    return createSecretKey(Buffer.concat([decipher.update(wrapped), decipher.final()]));
  } catch (cause) {
    throw new SealBrokenError('DATA_KEY', { cause });
  }
}

/**
 * What a database remembers of a key, to tell it from other bytes under the same `kid`: HMAC-SHA-256 of a fixed text,
 * base64url. It says nothing about 256 random bits.
 */
export function checkValueOf(key: Uint8Array): string {
  return createHmac('sha256', key).update('rollup-accounts: check value of a token key').digest('base64url');
}

/** As an object: of bytes node:crypto finds out, at the price of two exceptions, that they are no such object. */
function keyOf(ring: KeyRing, kid: string): KeyObject {
  const key = ring.key(kid);
  if (!key) throw new SealBrokenError('UNKNOWN_KEY');
  return createSecretKey(key);
}
