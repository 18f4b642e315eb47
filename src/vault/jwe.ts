import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { SealBrokenError } from '../errors.js';

/** Where a sealed value belongs. It travels inside the authenticated header, and a value opens only there. */
export interface SealContext {
  readonly table: string;
  readonly column: string;
  readonly account: string;
  readonly kind: string;
  readonly issuer: string;
  readonly client_id: string;
}

/** `A256GCM` (RFC 7518 §5.3): IVs of 96 bits, tags of 128. */
const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Seals a value as compact JWE (RFC 7516): `dir` (RFC 7518 §4.5) with a 256-bit key, `A256GCM`, a random IV for each
 * value. One key may seal 2^32 values (NIST SP 800-38D §8.3): an account's data key seals three a refresh.
 *
 * The stored form is pinned by a frozen ciphertext in the tests: it must open for ever. A token is short, and encrypting
 * it here and now takes less than handing it to the thread pool of WebCrypto.
 */
export async function sealJwe(plaintext: string, key: KeyObject, context: SealContext): Promise<string> {
  const header = headerOf(context);
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  const segments = [iv, ciphertext, cipher.getAuthTag()].map((bytes) => bytes.toString('base64url'));
  // With `dir` there is no encrypted key.
  return [header, '', ...segments].join('.');
}

/**
 * Opens a value. Throws `SealBrokenError`: MALFORMED, WRONG_CONTEXT or TAMPERED.
 *
 * Decoders ignore spare bits at the end of a base64url segment, so several texts stand for the same bytes.
 * Only the canonical text and the very header that `sealJwe` writes are accepted: every changed character is a change
 * that fails, and no header is read that asks for anything.
 */
export async function openJwe(sealed: string, key: KeyObject, context: SealContext): Promise<string> {
  const segments = sealed.split('.');
  const bytes = segments.map((text) => Buffer.from(text, 'base64url'));
  const canonical = segments.every((text, index) => bytes[index]?.toString('base64url') === text);
  if (segments.length !== 5 || !canonical) throw new SealBrokenError('MALFORMED');
  const header = headerOf(context);
  if (segments[0] !== header) throw new SealBrokenError('WRONG_CONTEXT');
  try {
    return decrypt(bytes, key, header);
  } catch (cause) {
    throw new SealBrokenError('TAMPERED', { cause });
  }
}

function decrypt(segments: readonly Buffer[], key: KeyObject, header: string): string {
  const [, encryptedKey, iv, ciphertext, tag] = segments;
  if (!iv || !ciphertext || !tag || encryptedKey?.length !== 0 || iv.length !== IV_BYTES) {
    throw new RangeError('segments of another size');
  }
  // Of a tag with another length the decipher says so itself.
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(header)).setAuthTag(tag);
  const plaintext = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  return new TextDecoder('utf-8', { fatal: true }).decode(plaintext);
}

/** The protected header, its members in the order in which they are written. */
function headerOf({ table, column, account, kind, issuer, client_id }: SealContext): string {
  const header = { alg: 'dir', enc: 'A256GCM', table, column, account, kind, issuer, client_id };
  return Buffer.from(JSON.stringify(header)).toString('base64url');
}
