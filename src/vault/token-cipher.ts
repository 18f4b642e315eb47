import { CompactEncrypt, compactDecrypt, errors as jose } from 'jose';
import { SealBrokenError } from '../errors.js';
import { parseObject } from '../json.js';
import type { KeyRing } from './key-ring.js';

/** The one place where a sealed value may be opened. It travels inside the authenticated header. */
export interface SealContext {
  readonly table: string;
  readonly column: string;
  /** Id of the row's owner: the account of a token, the attempt of a link secret. */
  readonly account: string;
  readonly kind: string;
}

/** Seals and opens single values. Stateless; safe to share. */
export interface TokenCipher {
  readonly currentKid: string;
  seal(plaintext: string, context: SealContext): Promise<string>;
  /** The kid that a sealed value names, without opening it. Throws `SealBrokenError` MALFORMED. */
  kidOf(sealed: string): string;
  /** Throws `SealBrokenError`: MALFORMED, UNKNOWN_KEY, WRONG_CONTEXT or TAMPERED. */
  open(sealed: string, context: SealContext): Promise<string>;
}

const ALG = 'A256KW';
const ENC = 'A256GCM';
const CONTEXT_NAMES = ['table', 'column', 'account', 'kind'] as const;
const HEADER_NAMES = ['alg', 'enc', 'kid', ...CONTEXT_NAMES];

/**
 * Compact JWE (RFC 7516) with a fresh content key for every value: `A256KW` wraps it, `A256GCM` encrypts.
 *
 * A fresh content key means that no nonce budget binds a ring key (NIST SP 800-38D §8.3 counts nonces per
 * GCM key). The stored form is pinned by a frozen ciphertext in the tests: it must open for ever.
 */
export function createTokenCipher(ring: KeyRing): TokenCipher {
  return {
    currentKid: ring.currentKid,
    async seal(plaintext, context) {
      const key = ring.key(ring.currentKid);
      if (!key) throw new SealBrokenError('UNKNOWN_KEY');
      const { table, column, account, kind } = context;
      return new CompactEncrypt(new TextEncoder().encode(plaintext))
        .setProtectedHeader({ alg: ALG, enc: ENC, kid: ring.currentKid, table, column, account, kind })
        .encrypt(key);
    },
    kidOf: (sealed) => readHeader(sealed)['kid'] ?? '',
    async open(sealed, context) {
      const header = readHeader(sealed);
      const key = ring.key(header['kid'] ?? '');
      if (!key) throw new SealBrokenError('UNKNOWN_KEY');
      if (CONTEXT_NAMES.some((name) => header[name] !== context[name])) {
        throw new SealBrokenError('WRONG_CONTEXT');
      }
      return decrypt(sealed, key);
    },
  };
}

/**
 * Reads the protected header, which must have the exact form that `seal` writes.
 *
 * Decoders ignore spare bits at the end of a base64url segment, so several texts stand for the same bytes.
 * Only the canonical text is accepted: then every changed character is a change that fails.
 */
function readHeader(sealed: string): Readonly<Record<string, string>> {
  const segments = sealed.split('.');
  const canonical = segments.every((text) => Buffer.from(text, 'base64url').toString('base64url') === text);
  if (segments.length !== 5 || !canonical) throw new SealBrokenError('MALFORMED');
  const header = parseObject(Buffer.from(segments[0] ?? '', 'base64url').toString()) ?? {};
  const exact =
    Object.keys(header).length === HEADER_NAMES.length &&
    HEADER_NAMES.every((name) => typeof header[name] === 'string') &&
    header['alg'] === ALG &&
    header['enc'] === ENC;
  if (!exact) throw new SealBrokenError('MALFORMED');
  return header as Record<string, string>;
}

async function decrypt(sealed: string, key: Uint8Array): Promise<string> {
  try {
    const { plaintext } = await compactDecrypt(sealed, key, {
      keyManagementAlgorithms: [ALG],
      contentEncryptionAlgorithms: [ENC],
    });
    return new TextDecoder('utf-8', { fatal: true }).decode(plaintext);
  } catch (cause) {
    const malformed = cause instanceof jose.JWEInvalid;
    throw new SealBrokenError(malformed ? 'MALFORMED' : 'TAMPERED', { cause });
  }
}
