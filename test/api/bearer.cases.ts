import { decodeJwt, decodeProtectedHeader } from 'jose';
import { bearerChecks } from '../kit/bearer-checks.js';
import { useWorld } from '../kit/hooks.js';

const HOUR = 3_600;
const JWKS_MAX_AGE_MS = 600_000;

describe('the bearer', () => {
  const world = useWorld();
  const { person, mint, rows, expectAccepted, expectUnauthorized } = bearerChecks(world);
  beforeEach(() => world.link(person()));

  test('with a valid access token is accepted, and the request is executed', async () => {
    const before = await rows();
    await expectAccepted(await mint());
    expect(await rows()).not.toEqual(before);
  });

  describe('JWT-02 without an Authorization header', () => {
    test('JWT-02 a public field is returned', async () => {
      const { status, headers, data } = await world.ask('{ me { id } }');
      expect({ status, data }).toEqual({ status: 200, data: { me: null } });
      expect(headers.has('www-authenticate')).toBe(false);
    });

    test.each([
      ['a protected query', '{ consentedScopes { name } }'],
      ['a protected query beside a public one', '{ me { id } consentedScopes { name } }'],
      ['a renewal', 'mutation { renewAccessToken(input: {}) { accessToken } }'],
      ['an unlink', 'mutation { unlinkRollupAccount(input: { accountId: "1" }) { unlinkedAccountId } }'],
    ])('JWT-02 %s gets 401 and a challenge without an error parameter', async (_title, operation) => {
      const before = await rows();
      const { status, headers, data, errors } = await world.ask(operation);
      expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
      expect(data).toBeNull();
      expect(errors.map(({ extensions }) => extensions)).toEqual([{ code: 'UNAUTHENTICATED' }]);
      expect(await rows()).toEqual(before);
    });
  });

  describe('JWT-03 with the algorithm "none"', () => {
    const table = ['none', 'None', 'NONE', 'nOnE'].flatMap((alg) => [
      { alg, signature: 'an empty' },
      { alg, signature: 'the original' },
    ]);
    test.each(table)('JWT-03 alg $alg with $signature signature is rejected', async ({ alg, signature }) => {
      const valid = await mint();
      const original = valid.split('.')[2] ?? '';
      await expectUnauthorized(withAlg(valid, alg, signature === 'an empty' ? '' : original));
      await expectAccepted(withAlg(valid, 'ES256', original));
    });

    function withAlg(token: string, alg: string, signature: string): string {
      const header = JSON.stringify({ ...decodeProtectedHeader(token), alg });
      return [Buffer.from(header).toString('base64url'), token.split('.')[1], signature].join('.');
    }
  });

  describe('JWT-10 with no kid', () => {
    const noKid = { header: { kid: undefined } };

    test('JWT-10 a token is accepted while the key set holds one key', async () => {
      await world.rollup.rotateKeys({ keepOld: false });
      await expectAccepted(await mint());
      await expectAccepted(await mint(noKid));
    });

    test('JWT-10 a token is rejected while the key set holds two keys, whichever of them signed', async () => {
      await world.rollup.rotateKeys({ keepOld: false });
      world.clock.advance(JWKS_MAX_AGE_MS);
      const [byOldKey, byOldKeyWithKid] = [await mint(noKid), await mint()];
      await expectAccepted(byOldKey);
      await world.rollup.rotateKeys();
      await expectAccepted(await mint());
      await expectAccepted(byOldKeyWithKid);
      await expectUnauthorized(byOldKey);
      await expectUnauthorized(await mint(noKid));
    });
  });

  describe('JWT-13 with an invalid claim and a valid signature', () => {
    const changes: readonly (readonly [string, (value: unknown, claim: string) => unknown])[] = [
      ['removed', () => undefined],
      ['null', () => null],
      ['a wrong scalar', (_value, claim) => (claim === 'exp' || claim === 'iat' ? 'soon' : 123)],
      ['an array', (value, claim) => (claim === 'aud' ? [1, 2] : [value])],
      ['an object', (value) => ({ value })],
    ];
    const claims = ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'scope'];
    const table = claims.flatMap((claim) => changes.map(([how, change]) => ({ claim, how, change })));
    const empty = ['iss', 'sub', 'aud', 'jti', 'scope'];
    test.each([...table, ...empty.map((claim) => ({ claim, how: 'an empty string', change: () => '' }))])(
      'JWT-13 $claim as $how is rejected',
      async ({ claim, change }) => {
        const valid = decodeJwt(await mint())[claim];
        expect(valid).toBeTruthy();
        await expectUnauthorized(await mint({ claims: { [claim]: change(valid, claim) } }));
      },
    );

    test('JWT-13 aud with our client id beside a value that is no string is rejected', async () => {
      await expectUnauthorized(await mint({ claims: { aud: [world.rollup.clientId, 1] } }));
    });
  });

  describe('JWT-15 of another issuer', () => {
    test.each<[string, (issuer: string) => unknown]>([
      ['a trailing slash', (issuer) => `${issuer}/`],
      ['another case', (issuer) => issuer.replace('http', 'HTTP')],
      ['another scheme', (issuer) => issuer.replace('http:', 'https:')],
      ['another port', (issuer) => issuer.replace(/\d+$/, (port) => String(Number(port) ^ 1))],
      ['a custom domain of the provider', () => 'https://login.example.com'],
      ['the issuer in an array', (issuer) => [issuer]],
      ['a homoglyph', (issuer) => issuer.replace('1', '\uFF11')],
    ])('JWT-15 iss with %s is rejected', async (_title, change) => {
      const iss = change(world.rollup.url);
      expect(iss).not.toBe(world.rollup.url);
      await expectUnauthorized(await mint({ claims: { iss } }));
    });
  });

  describe('JWT-16 with unusual times', () => {
    test.each<[string, (now: number) => Record<string, unknown>]>([
      ['exp an hour ago', (now) => ({ iat: now - 2 * HOUR, exp: now - HOUR })],
      ['exp further in the past than the clock tolerance', (now) => ({ iat: now - HOUR, exp: now - 35 })],
      ['exp zero', () => ({ exp: 0 })],
      ['exp negative', () => ({ exp: -1 })],
      ['exp 1e300', () => ({ exp: 1e300 })],
      ['exp a number as a string', (now) => ({ exp: String(now + HOUR) })],
      ['exp before iat', (now) => ({ iat: now + 20, exp: now + 10 })],
      ['exp ninety days after iat', (now) => ({ exp: now + 90 * 24 * HOUR })],
      ['no iat', () => ({ iat: undefined })],
    ])('JWT-16 %s is rejected', async (_title, times) => {
      await expectUnauthorized(await mint({ claims: times(nowSeconds()) }));
    });

    test.each<[string, (now: number) => Record<string, unknown>]>([
      ['exp a fraction', (now) => ({ exp: now + HOUR - 0.75 })],
      ['exp in the past within the clock tolerance', (now) => ({ iat: now - HOUR, exp: now - 10 })],
    ])('JWT-16 %s is accepted', async (_title, times) => {
      await expectAccepted(await mint({ claims: times(nowSeconds()) }));
    });
  });

  const nowSeconds = (): number => Math.floor(world.clock.now() / 1_000);
});
