import { CompactEncrypt, compactDecrypt } from 'jose';
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

const ALG = 'dir';
const ENC = 'A256GCM';

/**
 * Seals a value as compact JWE (RFC 7516): `dir` (RFC 7518 §4.5) with a 256-bit key, `A256GCM`, a random IV for each
 * value. One key may seal 2^32 values (NIST SP 800-38D §8.3): an account's data key seals three a refresh.
 *
 * The stored form is pinned by a frozen ciphertext in the tests: it must open for ever.
 */
export async function sealJwe(plaintext: string, key: Uint8Array, context: SealContext): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(plaintext))
    .setProtectedHeader(headerOf(context))
    .encrypt(key);
}

/**
 * Opens a value. Throws `SealBrokenError`: MALFORMED, WRONG_CONTEXT or TAMPERED.
 *
 * Decoders ignore spare bits at the end of a base64url segment, so several texts stand for the same bytes.
 * Only the canonical text and the very header that `sealJwe` writes are accepted: every changed character is a change
 * that fails, and no header is read that asks for anything.
 */
export async function openJwe(sealed: string, key: Uint8Array, context: SealContext): Promise<string> {
  const segments = sealed.split('.');
  const canonical = segments.every((text) => Buffer.from(text, 'base64url').toString('base64url') === text);
  if (segments.length !== 5 || !canonical) throw new SealBrokenError('MALFORMED');
  const header = Buffer.from(JSON.stringify(headerOf(context))).toString('base64url');
  if (segments[0] !== header) throw new SealBrokenError('WRONG_CONTEXT');
  try {
    const algorithms = { keyManagementAlgorithms: [ALG], contentEncryptionAlgorithms: [ENC] };
    const { plaintext } = await compactDecrypt(sealed, key, algorithms);
    return new TextDecoder('utf-8', { fatal: true }).decode(plaintext);
  } catch (cause) {
    throw new SealBrokenError('TAMPERED', { cause });
  }
}

/** The members in the order in which they are written. */
function headerOf({ table, column, account, kind, issuer, client_id }: SealContext) {
  return { alg: ALG, enc: ENC, table, column, account, kind, issuer, client_id };
}
