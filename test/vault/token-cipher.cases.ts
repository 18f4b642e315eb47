import { createCipheriv, randomBytes } from 'node:crypto';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { SealBrokenError } from '../../src/errors.js';
import type { TokenSet } from '../../src/token-set.js';
import { createDataKey, unwrapDataKey, wrapDataKey } from '../../src/vault/data-key.js';
import { openJwe, type SealContext, sealJwe } from '../../src/vault/jwe.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { createTokenCipher, type OpenableRow } from '../../src/vault/token-cipher.js';
import { fc } from '../kit/properties.js';
import { RUNS } from '../kit/random.js';
import { randomKey } from '../kit/server-env.js';

const [k1, k2] = [randomKey('k1'), randomKey('k2')];
const ring = parseKeyRing(`${k2},${k1}`);
const registration = { issuer: 'https://issuer.example', clientId: 'client-1' };
const cipher = createTokenCipher(ring, registration);
const key = createDataKey();
const context: SealContext = {
  table: 'sealed_tokens',
  column: 'access_token',
  account: 'a-1',
  kind: 'access_token',
  issuer: 'https://issuer.example',
  client_id: 'client-1',
};
const token = fc.string({ unit: 'grapheme', maxLength: 400 });
const tokens: TokenSet = {
  accessToken: 'an access token',
  idToken: 'an ID token',
  refreshToken: 'a refresh token',
  accessTokenIssuedAt: new Date(0),
  accessTokenExpiresAt: new Date(0),
  scopes: ['openid'],
};
const NAMES = ['accessToken', 'idToken', 'refreshToken', 'pendingResponse'] as const;
const RESPONSE = 'a response';

describe('a sealed token', () => {
  test('gives back what was sealed', async () => {
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        expect(await openJwe(await sealJwe(text, key, context), key, context)).toBe(text);
      }),
    );
  });

  test('STO-08 is different ciphertext for the same token in the same place', async () => {
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        expect(await sealJwe(text, key, context)).not.toBe(await sealJwe(text, key, context));
      }),
    );
  });

  test('STO-06 VLT-01 is a JWE with dir and A256GCM, a 96-bit IV, no compression, and its place in the header', async () => {
    const seen = new Set<string>();
    for (let count = 0; count < 500; count += 1) {
      const [header = '', wrappedKey, iv = ''] = (await sealJwe('token', key, context)).split('.');
      expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
        alg: 'dir',
        enc: 'A256GCM',
        ...context,
      });
      expect(wrappedKey).toBe('');
      expect(Buffer.from(iv, 'base64url')).toHaveLength(12);
      seen.add(iv);
    }
    expect(seen.size).toBe(500);
  });

  test.each<[string, object]>([
    ['alg A256KW', { alg: 'A256KW' }],
    ['alg none', { alg: 'none' }],
    ['alg RSA1_5', { alg: 'RSA1_5' }],
    ['ten million rounds of PBES2', { alg: 'PBES2-HS256+A128KW', p2c: 10_000_000, p2s: 'c2FsdHNhbHQ' }],
    ['a shorter enc', { enc: 'A128GCM' }],
    ['compression', { zip: 'DEF' }],
    ['a key address', { jku: 'http://127.0.0.1:1/jwks.json' }],
    ['a key of its own', { jwk: { kty: 'oct', k: 'AAAA' } }],
    ['a key id', { kid: 'k1' }],
  ])('STO-16 refuses a header that was edited to %s', async (_what, edit) => {
    const [header = '', ...rest] = (await sealJwe('token', key, context)).split('.');
    const written = JSON.parse(Buffer.from(header, 'base64url').toString()) as object;
    const edited = Buffer.from(JSON.stringify({ ...written, ...edit })).toString('base64url');
    await expectBroken(openJwe([edited, ...rest].join('.'), key, context), 'SEAL_WRONG_CONTEXT');
  });

  test('refuses every ciphertext in which one character was changed', async () => {
    const sealed = await sealJwe('a refresh token', key, context);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(sealed.length - 1),
        fc.constantFrom(...'AZaz09-_.=!'.split('')),
        async (at, character) => {
          fc.pre(sealed[at] !== character);
          await expectBroken(openJwe(sealed.slice(0, at) + character + sealed.slice(at + 1), key, context));
        },
      ),
      { numRuns: 2_000 * RUNS },
    );
  });

  test('refuses a changed spare bit at the end of a segment, which decoders do not even see', async () => {
    const sealed = await sealJwe('a refresh token', key, context);
    const tag = sealed.slice(sealed.lastIndexOf('.') + 1);
    const twin = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      .split('')
      .map((last) => tag.slice(0, -1) + last)
      .filter((text) => text !== tag && Buffer.from(text, 'base64url').equals(Buffer.from(tag, 'base64url')));
    expect(twin.length).toBeGreaterThan(0);
    await expectBroken(openJwe(sealed.slice(0, -tag.length) + twin[0], key, context), 'SEAL_MALFORMED');
  });

  test('STO-10 refuses a flipped bit at 200 places over the segments', async () => {
    const sealed = await sealJwe('a refresh token', key, context);
    for (let place = 0; place < 200; place += 1) {
      const at = Math.floor((place * sealed.length) / 200);
      const flipped = String.fromCodePoint((sealed.codePointAt(at) ?? 0) ^ (1 << (place % 7)));
      await expectBroken(openJwe(sealed.slice(0, at) + flipped + sealed.slice(at + 1), key, context));
    }
  });

  test('STO-11 refuses every truncation, the empty text and a sixth segment as malformed or tampered', async () => {
    const sealed = await sealJwe('a refresh token', key, context);
    for (let end = 0; end < sealed.length; end += 1) {
      await expectBroken(openJwe(sealed.slice(0, end), key, context));
    }
    await expectBroken(openJwe('', key, context), 'SEAL_MALFORMED');
    await expectBroken(openJwe(`${sealed}.AA`, key, context), 'SEAL_MALFORMED');
  });

  test('VLT-120 refuses an encrypted key, an IV and a tag of another size, also where they verify', async () => {
    const sealed = await sealJwe('a refresh token', key, context);
    const [header = '', , iv = '', ciphertext = '', tag = ''] = sealed.split('.');
    const joined = (...segments: string[]): string => [header, ...segments].join('.');
    expect(await openJwe(joined('', iv, ciphertext, tag), key, context)).toBe('a refresh token');
    await expectBroken(openJwe(joined('AAAA', iv, ciphertext, tag), key, context), 'SEAL_TAMPERED');
    // 12 bytes of the tag: GCM allows it (NIST SP 800-38D §5.2.1.2), JWE does not.
    await expectBroken(openJwe(joined('', iv, ciphertext, tag.slice(0, 16)), key, context), 'SEAL_TAMPERED');
    await expectBroken(openJwe(sealWithIv(header, 16), key, context), 'SEAL_TAMPERED');
    await expect(openJwe(sealWithIv(header, 12), key, context)).resolves.toBe('token');
  });

  test('VLT-120 is read and written like a JWE of another implementation', async () => {
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        const { plaintext, protectedHeader } = await compactDecrypt(await sealJwe(text, key, context), key);
        expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(plaintext)).toBe(text);
        const header = { ...protectedHeader, alg: 'dir', enc: 'A256GCM' };
        const theirs = new CompactEncrypt(new TextEncoder().encode(text)).setProtectedHeader(header);
        expect(await openJwe(await theirs.encrypt(key), key, context)).toBe(text);
      }),
    );
  });

  test.each(['table', 'column', 'account', 'kind', 'issuer', 'client_id'] as const)(
    'VLT-01 does not open for another %s',
    async (name) => {
      const sealed = await sealJwe('token', key, context);
      const elsewhere = { ...context, [name]: 'another' };
      await expectBroken(openJwe(sealed, key, elsewhere), 'SEAL_WRONG_CONTEXT');
    },
  );

  test('does not open with another data key', async () => {
    await expectBroken(
      openJwe(await sealJwe('token', key, context), createDataKey(), context),
      'SEAL_TAMPERED',
    );
  });
});

describe('the tokens of an account', () => {
  test('VLT-01 open with the data key of their row alone, which a refresh keeps and a link replaces', async () => {
    const linked = await sealedRow();
    const refreshed = {
      ...linked,
      ...(await cipher.sealRefresh(linked, { ...tokens, accessToken: 'newer' })),
    };
    expect(await Promise.all(NAMES.map((name) => cipher.open(linked, name)))).toEqual(
      NAMES.map((name) => (name === 'pendingResponse' ? RESPONSE : tokens[name])),
    );
    expect(await cipher.open(refreshed, 'accessToken')).toBe('newer');
    const relinked = await sealedRow();
    expect(relinked.dataKey).not.toBe(linked.dataKey);
    for (const name of NAMES) {
      await expectBroken(cipher.open({ ...relinked, [name]: linked[name] }, name), 'SEAL_TAMPERED');
      await expectBroken(cipher.open({ ...linked, accountId: 'a-2' }, name), 'SEAL_WRONG_CONTEXT');
    }
  });

  test('VLT-01 without their data key are lost', async () => {
    const row = await sealedRow();
    const without = { ...row, dataKey: null };
    for (const name of NAMES) await expectBroken(cipher.open(without, name), 'SEAL_DATA_KEY');
  });

  test.each([
    ['issuer', { ...registration, issuer: 'https://another.example' }],
    ['client', { ...registration, clientId: 'client-2' }],
  ])('VLT-01 do not open for another %s', async (_what, other) => {
    const row = await sealedRow();
    await expectBroken(createTokenCipher(ring, other).open(row, 'refreshToken'), 'SEAL_WRONG_CONTEXT');
  });

  test('still open when they were sealed as the form was decided', async () => {
    const frozen = createTokenCipher(parseKeyRing(FROZEN.ring), FROZEN.registration);
    expect(await frozen.open(FROZEN.row, 'refreshToken')).toBe('a token sealed in 2026');
  });
});

describe('a data key', () => {
  test('STO-07 STO-09 is random, and its wrapping has no nonce that could repeat', () => {
    const keys = Array.from({ length: 2_000 }, () => createDataKey());
    expect(new Set(keys.map((one) => one.export().toString('hex'))).size).toBe(2_000);
    expect(keys.every((one) => one.symmetricKeySize === 32)).toBe(true);
    expect(wrapDataKey(ring, key)).toEqual(wrapDataKey(ring, key));
  });

  test('is wrapped by the first key of the ring, and unwraps with each', () => {
    const older = parseKeyRing(k1);
    expect(wrapDataKey(older, key).keyId).toBe('k1');
    expect(wrapDataKey(ring, key).keyId).toBe('k2');
    for (const wrapped of [wrapDataKey(older, key), wrapDataKey(ring, key)]) {
      expect(unwrapDataKey(ring, wrapped).equals(key)).toBe(true);
    }
  });

  test('refuses a key that is not in the ring, and other bytes under a known kid', () => {
    const wrapped = wrapDataKey(ring, key);
    expect(codeOf(() => unwrapDataKey(parseKeyRing(k1), wrapped))).toBe('SEAL_UNKNOWN_KEY');
    expect(codeOf(() => unwrapDataKey(parseKeyRing(randomKey('k2')), wrapped))).toBe('SEAL_DATA_KEY');
  });

  test('STO-10 STO-11 refuses every changed character and every truncation', () => {
    const { keyId, dataKey } = wrapDataKey(ring, key);
    for (let at = 0; at < dataKey.length; at += 1) {
      const changed = dataKey.slice(0, at) + (dataKey[at] === 'A' ? 'B' : 'A') + dataKey.slice(at + 1);
      for (const damaged of [changed, dataKey.slice(0, at)]) {
        expect(codeOf(() => unwrapDataKey(ring, { keyId, dataKey: damaged }))).toBe('SEAL_DATA_KEY');
      }
    }
  });
});

/** A row with everything that can be sealed in it. */
async function sealedRow(): Promise<OpenableRow> {
  const row = { ...(await cipher.sealLink('a-1', tokens)), accountId: 'a-1' };
  return { ...row, pendingResponse: await cipher.sealResponse(row, RESPONSE) };
}

function codeOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error instanceof SealBrokenError ? error.code : error;
  }
}

async function expectBroken(
  opening: Promise<string>,
  code: unknown = expect.stringMatching(/^SEAL_/),
): Promise<void> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SealBrokenError);
  expect(error).toMatchObject({ code });
}

const FROZEN = {
  ring: 'frozen-1:vhCwpPVWx7aSSgmZNDK45FPeXbznhgTWLS3imfbx2qA',
  registration,
  row: {
    accountId: 'account-1',
    keyId: 'frozen-1',
    dataKey: 'Lz0nxYp99iT-uM7qOVmUMO4VB3fWx2s2xXgqx85STMwAoR5yFTtdBQ',
    accessToken: null,
    idToken: null,
    refreshToken:
      'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwidGFibGUiOiJzZWFsZWRfdG9rZW5zIiwiY29sdW1uIjoicmVmcmVzaF90b2tlbiIsImFjY291bnQiOiJhY2NvdW50LTEiLCJraW5kIjoicmVmcmVzaF90b2tlbiIsImlzc3VlciI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJjbGllbnRfaWQiOiJjbGllbnQtMSJ9..EqPPEdZerlegmpJy.B5ibBkpiAv2nXwnSVB62eVYyb1UwRw.oIW9WLNkJARv_PHl7I36MQ',
  },
};

function sealWithIv(header: string, ivBytes: number): string {
  const iv = randomBytes(ivBytes);
  const gcm = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([gcm.update('token'), gcm.final()]);
  return [header, '', ...[iv, ciphertext, gcm.getAuthTag()].map((bytes) => bytes.toString('base64url'))].join(
    '.',
  );
}
