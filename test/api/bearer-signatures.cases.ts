import { constants, createHmac, createPublicKey, randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { decodeJwt, decodeProtectedHeader, type JWK } from 'jose';
import {
  compact,
  ecSigner,
  edSigner,
  rsaSigner,
  segment,
  selfSigned,
  type Signer,
  withSignature,
} from '../kit/forged-token.js';
import { useWorld } from '../kit/hooks.js';
import { listen } from '../kit/network.js';
import { bearerChecks } from '../kit/bearer-checks.js';

const JWKS_MAX_AGE_MS = 600_000;
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

describe('a signature', () => {
  const world = useWorld();
  const attacker = ecSigner('attacker');
  const { person, mint, expectAccepted, expectUnauthorized } = bearerChecks(world);
  beforeEach(async () => {
    world.clock.advance(JWKS_MAX_AGE_MS);
    await world.link(person());
  });

  describe('JWT-04 with the public key as an HMAC secret', () => {
    const forms: Readonly<Record<string, (jwk: JWK) => string | Buffer>> = {
      'JWK JSON': (jwk) => JSON.stringify(jwk),
      PEM: (jwk) => spki(jwk, 'pem'),
      'PEM without its last newline': (jwk) => String(spki(jwk, 'pem')).trimEnd(),
      DER: (jwk) => spki(jwk, 'der'),
      'x and y': ({ x = '', y = '' }) => Buffer.from(x + y, 'base64url'),
      x: ({ x = '' }) => Buffer.from(x, 'base64url'),
      kid: ({ kid = '' }) => kid,
    };
    const table = ['256', '384', '512'].flatMap((bits) => Object.keys(forms).map((form) => ({ bits, form })));
    test.each(table)('JWT-04 HS$bits keyed with the $form is rejected', async ({ bits, form }) => {
      const [key = {}] = await publishedKeys();
      const secret = forms[form]?.(key) ?? '';
      const { header, claims } = await valid();
      const mac = (input: string): Buffer => createHmac(`sha${bits}`, secret).update(input).digest();
      await expectUnauthorized(compact({ ...header, alg: `HS${bits}` }, claims, mac));
    });

    function spki(jwk: JWK, format: 'pem' | 'der'): string | Buffer {
      const key = createPublicKey({ key: jwk, format: 'jwk' });
      return format === 'pem' ? key.export({ type: 'spki', format }) : key.export({ type: 'spki', format });
    }
  });

  describe('JWT-05 by another algorithm whose key is in the key set', () => {
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    test.each<[string, () => Signer]>([
      ['RS256', () => rsaSigner('extra', 'RS256')],
      ['PS256', () => rsaSigner('extra', 'PS256', pss)],
      ['ES384', () => ecSigner('extra', 'P-384', 'ES384', 'sha384')],
      ['ES256K', () => ecSigner('extra', 'secp256k1', 'ES256K')],
      ['EdDSA', () => edSigner('extra')],
      ['ES256 by a P-384 key', () => ecSigner('extra', 'P-384')],
    ])('JWT-05 %s is rejected', async (_title, create) => {
      const { jwk, sign } = create();
      await publish(jwk);
      const { header, claims } = await valid();
      await expectUnauthorized(compact({ ...header, alg: jwk.alg, kid: jwk.kid }, claims, sign));
      await expectAccepted(await mint());
    });

    test('JWT-05 ES256 by a P-256 key beside the first is accepted', async () => {
      const { jwk, sign } = ecSigner('extra');
      await publish(jwk);
      const { header, claims } = await valid();
      await expectAccepted(compact({ ...header, kid: 'extra' }, claims, sign));
    });
  });

  describe('with the key inside the token', () => {
    test.each([
      ['a genuine kid', {}],
      ['no kid', { kid: undefined }],
      ["the attacker's kid", { kid: 'attacker' }],
    ])('JWT-06 jwk with %s is ignored', async (_title, change) => {
      const { header, claims } = await valid();
      await expectUnauthorized(compact({ ...header, jwk: attacker.jwk, ...change }, claims, attacker.sign));
    });

    test.each(['x5u', 'x5c', 'x5t', 'jku'])(
      'JWT-08 %s is ignored, and its URL is not called',
      async (name) => {
        let calls = 0;
        const evil = createServer((socket) => {
          calls += 1;
          socket.destroy();
        });
        const url = `http://127.0.0.1:${await listen(evil)}/keys`;
        const certificate = selfSigned(attacker).toString('base64');
        const value = { x5u: url, x5c: [certificate], x5t: segment(randomBytes(20)), jku: url }[name];
        const { header, claims } = await valid();
        for (const kid of [header.kid, undefined, 'attacker']) {
          await expectUnauthorized(compact({ ...header, kid, [name]: value }, claims, attacker.sign));
        }
        await new Promise((resolve) => evil.close(resolve));
        expect(calls).toBe(0);
      },
    );
  });

  describe('JWT-09 with a malformed kid', () => {
    test.each<[string, unknown]>([
      ['a path', '../../dev/null'],
      ['SQL', "' or '1'='1' --"],
      ['__proto__', '__proto__'],
      ['constructor', 'constructor'],
      ['toString', 'toString'],
      ['empty text', ''],
      ['10 kB', 'k'.repeat(10_000)],
      ['CRLF', 'k\r\nset-cookie: a=b\r\n{"event":"forged"}'],
      ['NUL', 'k\0k'],
      ['a number', 1],
      ['an array', ['k']],
      ['an object', { kid: 'k' }],
      ['null', null],
    ])('JWT-09 %s is rejected', async (_title, kid) => {
      await expectUnauthorized(await mint({ header: { kid } }));
    });

    test('JWT-09 a rejection is one log record', async () => {
      const token = await mint({ header: { kid: 'k\r\nk' } });
      await expectUnauthorized(token);
      expect(world.logLines.filter((line) => line.includes('bearer_refused'))).toHaveLength(1);
    });

    test('JWT-09 the kid of a key for another algorithm is rejected', async () => {
      await publish(ecSigner('extra', 'P-384', 'ES384').jwk);
      await expectUnauthorized(await mint({ header: { kid: 'extra' } }));
    });
  });

  describe('JWT-19 that is invalid', () => {
    const zero = Buffer.alloc(32);
    const n = Buffer.from(N.toString(16), 'hex');
    const more = Buffer.from((N + 1n).toString(16), 'hex');
    test.each<[string, (r: Buffer, s: Buffer) => Buffer]>([
      ['r and s zero, which is 64 zeros', () => Buffer.concat([zero, zero])],
      ['r zero', (_r, s) => Buffer.concat([zero, s])],
      ['s zero', (r) => Buffer.concat([r, zero])],
      ['r the order of the curve', (_r, s) => Buffer.concat([n, s])],
      ['s the order of the curve', (r) => Buffer.concat([r, n])],
      ['r beyond the order', (_r, s) => Buffer.concat([more, s])],
      ['s beyond the order', (r) => Buffer.concat([r, Buffer.alloc(32, 0xff)])],
      ['DER', (r, s) => Buffer.concat([Buffer.of(0x30, 70, 2, 33, 0), r, Buffer.of(2, 33, 0), s])],
      ['63 bytes', (r, s) => Buffer.concat([r, s.subarray(1)])],
      ['65 bytes', (r, s) => Buffer.concat([Buffer.of(0), r, s])],
      ['a trailing byte', (r, s) => Buffer.concat([r, s, Buffer.of(0)])],
      ['r and s swapped', (r, s) => Buffer.concat([s, r])],
      ['empty', () => Buffer.alloc(0)],
    ])('JWT-19 %s is rejected', async (_title, change) => {
      const token = await mint();
      const signature = Buffer.from(token.split('.')[2] ?? '', 'base64url');
      await expectUnauthorized(
        withSignature(token, change(signature.subarray(0, 32), signature.subarray(32))),
      );
      await expectAccepted(withSignature(token, signature));
    });

    test("JWT-19 another token's signature is rejected", async () => {
      await expectUnauthorized(withSignature(await mint(), (await mint()).split('.')[2] ?? ''));
    });
  });

  async function valid() {
    const token = await mint();
    return { header: decodeProtectedHeader(token), claims: decodeJwt(token) };
  }

  async function publishedKeys(): Promise<JWK[]> {
    const response = await fetch(`${world.rollup.url}/.well-known/jwks.json`);
    return ((await response.json()) as { keys: JWK[] }).keys;
  }

  /** Adds a key to the provider's key set and lets the server's cached copy expire. */
  async function publish(extra: JWK): Promise<void> {
    world.rollup.switches.faults.jwks.standing = {
      transform: ({ keys }) => ({ keys: [...(keys as JWK[]), extra] }),
    };
    expect(await publishedKeys()).toContainEqual(extra);
    world.clock.advance(JWKS_MAX_AGE_MS);
  }
});
