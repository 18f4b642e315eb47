import { createPublicKey, type JsonWebKey, randomBytes } from 'node:crypto';
import { CompactEncrypt, decodeJwt, decodeProtectedHeader, type JWK } from 'jose';
import { pseudonym } from '../../src/log.js';
import { compact, ecSigner, rsaSigner, segment, type Signer, withSignature } from '../kit/forged-token.js';
import { useWorld } from '../kit/hooks.js';
import { connectRaw, rawRequest } from '../kit/network.js';
import { bearerChecks } from '../kit/bearer-checks.js';

const JWKS_MAX_AGE_MS = 600_000;

describe('a token', () => {
  const world = useWorld();
  const ours = ecSigner('ours');
  const { person, mint, expectAccepted, expectUnauthorized } = bearerChecks(world);
  beforeEach(async () => {
    publish((keys) => ({ keys: [...keys, ours.jwk] }));
    await world.link(person());
  });

  describe('JWT-20 in another encoding', () => {
    test.each<[string, (valid: string) => string | Promise<string>]>([
      ['with a padded signature', (valid) => `${valid}==`],
      ['with a padded payload, which the signature covers', async () => signRaw(`${await oddPayload()}=`)],
      ['in the alphabet of plain base64', plainAlphabet],
      ['with a space in the signature', (valid) => spaced(valid, -20)],
      ['with a space in the payload', (valid) => spaced(valid, valid.indexOf('.') + 5)],
      ['of two segments', (valid) => valid.split('.').slice(0, 2).join('.')],
      ['of four segments', (valid) => `${valid}.e30`],
      ['of five segments', (valid) => `${valid}.e30.e30`],
      ['as JWE dir', () => encrypted('dir', randomBytes(32))],
      ['as JWE ECDH-ES for the key of the provider', async () => encrypted('ECDH-ES', await publicKey())],
      // A server that runs them takes longer than a test may.
      ['as JWE PBES2 with a billion rounds', () => pbes2()],
      ['as JSON', json],
      ['with b64 false', async (valid) => unencoded(valid)],
      ['detached', (valid) => valid.replace(/\..*\./, '..')],
      ['with a BOM before the claims', (valid) => ourToken(valid, (text) => `\uFEFF${text}`)],
      ['with a BOM before the header', (valid) => ourToken(valid, (text) => text, '\uFEFF')],
      ['with claims in UTF-16', (valid) => ourToken(valid, (text) => Buffer.from(text, 'utf16le'))],
    ])('JWT-20 %s is rejected', async (_title, change) => {
      await expectUnauthorized(await change(await mint()));
      await expectAccepted(ourToken(await mint(), (text) => text));
    });

    test('JWT-20 with a newline is rejected', async () => {
      const token = await mint();
      const connection = await connectRaw(world.app.url);
      const folded = `Authorization: Bearer ${token.slice(0, 200)}\r\n ${token.slice(200)}`;
      const [response] = await connection.send([rawRequest('{ me { id } }', [folded])]);
      connection.close();
      expect([400, 401]).toContain(response?.status);
    });

    function ourToken(valid: string, change: (text: string) => string | Buffer, before = ''): string {
      const header = `${before}${JSON.stringify({ ...decodeProtectedHeader(valid), kid: 'ours' })}`;
      return compact(header, change(JSON.stringify(decodeJwt(valid))), ours.sign);
    }

    const spaced = (text: string, at: number): string => `${text.slice(0, at)} ${text.slice(at)}`;

    function signRaw(payload: string): string {
      const input = `${segment({ alg: 'ES256', kid: 'ours' })}.${payload}`;
      return `${input}.${ours.sign(input).toString('base64url')}`;
    }

    /** Claims whose base64 needs one character of padding. */
    async function oddPayload(): Promise<string> {
      const claims = JSON.stringify(decodeJwt(await mint()));
      return segment(claims + ' '.repeat((5 - (claims.length % 3)) % 3));
    }

    async function plainAlphabet(): Promise<string> {
      for (;;) {
        const token = await mint();
        const signature = token.split('.')[2] ?? '';
        const plain = signature.replaceAll('-', '+').replaceAll('_', '/');
        if (/-.*_|_.*-/.test(signature)) return withSignature(token, plain);
      }
    }

    async function publicKey() {
      const response = await fetch(`${world.rollup.url}/.well-known/jwks.json`);
      const { keys } = (await response.json()) as { keys: JWK[] };
      return createPublicKey({ key: keys[0] as JsonWebKey, format: 'jwk' });
    }

    async function encrypted(alg: string, key: Parameters<CompactEncrypt['encrypt']>[0]): Promise<string> {
      const claims = Buffer.from(JSON.stringify(decodeJwt(await mint())));
      return new CompactEncrypt(claims).setProtectedHeader({ alg, enc: 'A256GCM' }).encrypt(key);
    }

    function pbes2(): string {
      const header = { alg: 'PBES2-HS256+A128KW', enc: 'A128CBC-HS256', p2s: 'c2FsdHNhbHQ', p2c: 1e9 };
      return [header, ...[40, 16, 64, 16].map((size) => randomBytes(size))].map(segment).join('.');
    }

    function json(valid: string): string {
      const [header, payload, signature] = valid.split('.');
      return JSON.stringify({ protected: header, payload, signature });
    }

    /** An unencoded payload (RFC 7797): the base64url text of the claims is the payload that was signed. */
    function unencoded(valid: string): string {
      const header = segment({ alg: 'ES256', kid: 'ours', b64: false, crit: ['b64'] });
      const input = `${header}.${segment(decodeJwt(valid))}`;
      return `${input}.${ours.sign(input).toString('base64url')}`;
    }
  });

  test.each<[string, Record<string, unknown>]>([
    ['an unknown name', { crit: ['x'], x: 1 }],
    ['b64', { crit: ['b64'], b64: true }],
    ['no name', { crit: [] }],
    ['a name that is not in the header', { crit: ['exp'] }],
  ])('JWT-21 crit with %s is rejected', async (_title, header) => {
    await expectUnauthorized(await mint({ header }));
  });

  describe('JWT-22 with a duplicate member', () => {
    test.each<[string, string, string, boolean]>([
      ['alg, last none', '"alg":"ES256","alg":"none","kid":"ours"', '', false],
      ['alg, last ES256', '"alg":"none","alg":"ES256","kid":"ours"', '', true],
      ['kid, last unknown', '"alg":"ES256","kid":"ours","kid":"x"', '', false],
      ['kid, last known', '"alg":"ES256","kid":"x","kid":"ours"', '', true],
      ['aud, last ours', '"alg":"ES256","kid":"ours"', '"aud":"x",', true],
      ['exp, last in the future', '"alg":"ES256","kid":"ours"', '"exp":1,', true],
    ])('JWT-22 %s: the last one counts, or the token is rejected', async (_title, header, claim, good) => {
      const claims = JSON.stringify(decodeJwt(await mint())).replace('{', `{${claim}`);
      const token = compact(`{${header}}`, claims, ours.sign);
      await (good ? expectAccepted(token) : expectUnauthorized(token));
    });

    test.each([
      ['aud', '"x"'],
      ['exp', '1'],
    ])('JWT-22 duplicate %s whose last one is invalid is rejected', async (name, bad) => {
      const claims = JSON.stringify(decodeJwt(await mint())).replace(/\}$/, `,"${name}":${bad}}`);
      await expectUnauthorized(compact({ alg: 'ES256', kid: 'ours' }, claims, ours.sign));
    });

    test.each(['first', 'last'])(
      'JWT-22 duplicate sub with the victim %s: one identity, in the response and in the log',
      async (place) => {
        const [victim, thief] = world.rollup.people.map(({ sub }) => sub);
        const subs = place === 'first' ? [victim, thief] : [thief, victim];
        const { sub: _sub, ...rest } = decodeJwt(await mint());
        const claims = JSON.stringify(rest).replace('{', `{${subs.map((sub) => `"sub":"${sub}"`).join()},`);
        const token = compact({ alg: 'ES256', kid: 'ours' }, claims, ours.sign);
        world.logLines.length = 0;
        const query = '{ me { rollupAccounts { sub } } }';
        const { data } = await world.ask<{ me: unknown }, object>(query, {}, { token });
        expect(data.me).toEqual(place === 'first' ? null : { rollupAccounts: [{ sub: victim }] });
        await new Promise(setImmediate);
        const logged = world.logLines.join('\n');
        expect(logged).toContain(pseudonym(subs[1] ?? ''));
        expect(logged).not.toContain(pseudonym(subs[0] ?? ''));
      },
    );
  });

  describe('JWT-23 under a poisoned key set', () => {
    const evil = ecSigner('evil');
    const rsa = rsaSigner('evil', 'RS256');
    const p384 = ecSigner('evil', 'P-384', 'ES384');
    const oct = { kid: 'evil', kty: 'oct', k: 'c2VjcmV0', alg: 'ES256' };
    const beside =
      (...extra: JWK[]) =>
      (keys: JWK[]) => ({ keys: [...keys, ...extra] });
    const { d } = evil.privateKey.export({ format: 'jwk' });
    test.each<[string, (keys: JWK[]) => unknown, Signer]>([
      ['two keys of one kid', beside(evil.jwk, ecSigner('evil').jwk), evil],
      ['an oct key', beside(oct), evil],
      ['a private key', beside({ ...evil.jwk, d: d ?? '' }), evil],
      ['a key for encryption', beside({ ...evil.jwk, use: 'enc' }), evil],
      ['a key with key_ops encrypt', beside({ ...evil.jwk, key_ops: ['encrypt'] }), evil],
      ['a point off the curve', beside({ ...evil.jwk, y: evil.jwk.x ?? '' }), evil],
      ['a P-256 key declared as P-384', beside({ ...evil.jwk, crv: 'P-384' }), evil],
      ['a P-384 key declared as P-256', beside({ ...p384.jwk, crv: 'P-256', alg: 'ES256' }), p384],
      ['an RSA key declared as ES256', beside({ ...rsa.jwk, alg: 'ES256' }), rsa],
      ['members that are no keys', (keys) => ({ keys: [null, 1, 'x', [], ...keys] }), evil],
      [
        '101 keys',
        beside(evil.jwk, ...Array.from({ length: 99 }, (_, i) => ({ ...evil.jwk, kid: `${i}` }))),
        evil,
      ],
      [
        '10 000 keys',
        beside(...Array.from({ length: 10_000 }, (_, i) => ({ ...evil.jwk, kid: `${i}` }))),
        evil,
      ],
      ['keys as an object', () => ({ keys: {} }), evil],
      ['keys null', () => ({ keys: null }), evil],
    ])('JWT-23 %s verifies nothing, and the valid key still works', async (_title, poison, { sign }) => {
      await expectAccepted(await mint());
      publish(poison);
      const callsBefore = world.rollup.calls.jwks;
      await expectUnauthorized(compact({ alg: 'ES256', kid: 'evil' }, decodeJwt(await mint()), sign));
      await expectAccepted(await mint());
      expect(world.rollup.calls.jwks).toBeGreaterThan(callsBefore);
    });

    test.each<[string, JWK]>([
      ['a point off the curve', { ...evil.jwk, y: evil.jwk.x ?? '' }],
      ['invalid coordinates', { ...evil.jwk, x: '!' }],
      ['a private key', { ...evil.jwk, d: d ?? '' }],
      ['an oct key', oct],
    ])('JWT-23 %s alone does not replace the valid key', async (_title, key) => {
      await expectAccepted(await mint());
      publish(() => ({ keys: [key] }));
      const callsBefore = world.rollup.calls.jwks;
      await expectAccepted(await mint());
      expect(world.rollup.calls.jwks).toBeGreaterThan(callsBefore);
    });

    test("JWT-23 a second key with the valid key's kid verifies nothing, and the valid key still works", async () => {
      await expectAccepted(await mint());
      const { kid } = decodeProtectedHeader(await mint());
      publish((keys) => ({ keys: [...keys, { ...evil.jwk, kid }] }));
      await expectUnauthorized(compact({ alg: 'ES256', kid }, decodeJwt(await mint()), evil.sign));
      await expectAccepted(await mint());
    });
  });

  /** Changes the provider's key set and lets the server's cached copy expire. */
  function publish(change: (keys: JWK[]) => unknown): void {
    world.rollup.switches.faults.jwks.standing = {
      transform: ({ keys }) => change(keys as JWK[]) as Record<string, unknown>,
    };
    world.clock.advance(JWKS_MAX_AGE_MS);
  }
});
