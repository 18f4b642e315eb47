import { SealBrokenError } from '../../src/errors.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { createTokenCipher, type SealContext } from '../../src/vault/token-cipher.js';
import { fc } from '../kit/properties.js';
import { RUNS } from '../kit/random.js';
import { randomKey } from '../kit/server-env.js';

const ring = parseKeyRing(`${randomKey('k2')},${randomKey('k1')}`);
const cipher = createTokenCipher(ring);
const context: SealContext = {
  table: 'sealed_tokens',
  column: 'access_token',
  account: 'a-1',
  kind: 'access_token',
};
const token = fc.string({ unit: 'grapheme', maxLength: 400 });

describe('the token cipher', () => {
  test('gives back what was sealed', async () => {
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        expect(await cipher.open(await cipher.seal(text, context), context)).toBe(text);
      }),
    );
  });

  test('STO-08 gives different ciphertext for the same token in the same place', async () => {
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        expect(await cipher.seal(text, context)).not.toBe(await cipher.seal(text, context));
      }),
    );
  });

  test('STO-06 writes JWE with A256KW and A256GCM, a kid, a 96-bit IV, a fresh content key and no compression', async () => {
    const seen = new Set<string>();
    for (let count = 0; count < 500; count += 1) {
      const [header = '', wrappedKey = '', iv = ''] = (await cipher.seal('token', context)).split('.');
      expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
        alg: 'A256KW',
        enc: 'A256GCM',
        kid: 'k2',
        ...context,
      });
      expect(Buffer.from(iv, 'base64url')).toHaveLength(12);
      seen.add(wrappedKey).add(iv);
    }
    expect(seen.size).toBe(1_000);
  });

  test('STO-07 STO-09 never repeats an IV or a content key, so that no budget of nonces binds a ring key', async () => {
    const COUNT = 2_000;
    const seen = new Set<string>();
    for (let count = 0; count < COUNT; count += 1) {
      const [, wrappedKey = '', iv = ''] = (await cipher.seal('t', context)).split('.');
      seen.add(wrappedKey).add(iv);
    }
    expect(seen.size).toBe(2 * COUNT);
  });

  test.each<[string, object]>([
    ['alg dir', { alg: 'dir' }],
    ['alg none', { alg: 'none' }],
    ['alg RSA1_5', { alg: 'RSA1_5' }],
    ['ten million rounds of PBES2', { alg: 'PBES2-HS256+A128KW', p2c: 10_000_000, p2s: 'c2FsdHNhbHQ' }],
    ['a shorter enc', { enc: 'A128GCM' }],
    ['compression', { zip: 'DEF' }],
    ['a key address', { jku: 'http://127.0.0.1:1/jwks.json' }],
    ['a key of its own', { jwk: { kty: 'oct', k: 'AAAA' } }],
    ['another key of the ring', { kid: 'k1' }],
    ['a key that is not in the ring', { kid: 'k9' }],
  ])('STO-16 refuses a header that was edited to %s', async (_what, edit) => {
    const [header = '', ...rest] = (await cipher.seal('token', context)).split('.');
    const written = JSON.parse(Buffer.from(header, 'base64url').toString()) as object;
    const edited = Buffer.from(JSON.stringify({ ...written, ...edit })).toString('base64url');
    await expectBroken(cipher.open([edited, ...rest].join('.'), context));
  });

  test('refuses every ciphertext in which one character was changed', async () => {
    const sealed = await cipher.seal('a refresh token', context);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(sealed.length - 1),
        fc.constantFrom(...'AZaz09-_.=!'.split('')),
        async (at, character) => {
          fc.pre(sealed[at] !== character);
          await expectBroken(cipher.open(sealed.slice(0, at) + character + sealed.slice(at + 1), context));
        },
      ),
      { numRuns: 2_000 * RUNS },
    );
  });

  test('refuses a changed spare bit at the end of a segment, which decoders do not even see', async () => {
    const sealed = await cipher.seal('a refresh token', context);
    const tag = sealed.slice(sealed.lastIndexOf('.') + 1);
    const twin = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      .split('')
      .map((last) => tag.slice(0, -1) + last)
      .filter((text) => text !== tag && Buffer.from(text, 'base64url').equals(Buffer.from(tag, 'base64url')));
    expect(twin.length).toBeGreaterThan(0);
    await expectBroken(cipher.open(sealed.slice(0, -tag.length) + twin[0], context), 'SEAL_MALFORMED');
  });

  test('STO-10 refuses a flipped bit at 200 places over the five segments', async () => {
    const sealed = await cipher.seal('a refresh token', context);
    for (let place = 0; place < 200; place += 1) {
      const at = Math.floor((place * sealed.length) / 200);
      const flipped = String.fromCodePoint((sealed.codePointAt(at) ?? 0) ^ (1 << (place % 7)));
      await expectBroken(cipher.open(sealed.slice(0, at) + flipped + sealed.slice(at + 1), context));
    }
  });

  test('STO-11 refuses every truncation, the empty text and a sixth segment as malformed or tampered', async () => {
    const sealed = await cipher.seal('a refresh token', context);
    for (let end = 0; end < sealed.length; end += 1) {
      await expectBroken(cipher.open(sealed.slice(0, end), context));
    }
    await expectBroken(cipher.open('', context), 'SEAL_MALFORMED');
    await expectBroken(cipher.open(`${sealed}.AA`, context), 'SEAL_MALFORMED');
  });

  test.each(['table', 'column', 'account', 'kind'] as const)(
    'refuses a ciphertext moved to another %s',
    async (name) => {
      const sealed = await cipher.seal('token', context);
      await expectBroken(cipher.open(sealed, { ...context, [name]: 'another' }), 'SEAL_WRONG_CONTEXT');
    },
  );

  test('refuses a key that is not in the ring, and other bytes under a known kid', async () => {
    const sealed = await cipher.seal('token', context);
    const lacking = createTokenCipher(parseKeyRing(randomKey('k9')));
    const other = createTokenCipher(parseKeyRing(randomKey('k2')));
    await expectBroken(lacking.open(sealed, context), 'SEAL_UNKNOWN_KEY');
    await expectBroken(other.open(sealed, context), 'SEAL_TAMPERED');
  });

  test('opens what an older key of the ring sealed, and seals with the first', async () => {
    const older = createTokenCipher(
      parseKeyRing(`k1:${Buffer.from(ring.key('k1') ?? []).toString('base64url')}`),
    );
    const sealed = await older.seal('token', context);
    expect(cipher.kidOf(sealed)).toBe('k1');
    expect(await cipher.open(sealed, context)).toBe('token');
    expect(cipher.kidOf(await cipher.seal('token', context))).toBe('k2');
  });

  test('still opens a ciphertext that was frozen when the form was decided', async () => {
    const frozen = createTokenCipher(parseKeyRing('frozen-1:vhCwpPVWx7aSSgmZNDK45FPeXbznhgTWLS3imfbx2qA'));
    const place = {
      table: 'sealed_tokens',
      column: 'refresh_token',
      account: 'account-1',
      kind: 'refresh_token',
    };
    expect(await frozen.open(FROZEN, place)).toBe('a token sealed in 2026');
  });
});

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

const FROZEN =
  'eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiZnJvemVuLTEiLCJ0YWJsZSI6InNlYWxlZF90b2tlbnMiLCJjb2x1bW4iOiJyZWZyZXNoX3Rva2VuIiwiYWNjb3VudCI6ImFjY291bnQtMSIsImtpbmQiOiJyZWZyZXNoX3Rva2VuIn0.LnycoD4Ne0_aHCv9mDhc9c_rl6TR-Ws14LypZlWkpJrXSgBVfBfZVg.Zv5rCAk0mnhSs8LY.eBzOjw15mAxXWx8QzpfN34fVg1trfA.dldPr1PrjAZo2O3J3v8Pig';
