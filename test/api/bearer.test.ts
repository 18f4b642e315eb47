import { decodeJwt, decodeProtectedHeader } from 'jose';
import { bearerChecks } from '../kit/bearer-checks.js';
import { startWorld, type World } from '../kit/world.js';

const HOUR = 3_600;
const JWKS_MAX_AGE_MS = 600_000;

describe('the bearer', () => {
  let world: World;
  const { person, mint, rows, expectAccepted, expectUnauthorized } = bearerChecks(() => world);
  beforeAll(async () => (world = await startWorld()));
  afterAll(() => world.close());
  beforeEach(async () => {
    await world.reset();
    await world.link(person());
  });

  test('of an honest access token is accepted, and what it asks for is done', async () => {
    const before = await rows();
    await expectAccepted(await mint());
    expect(await rows()).not.toEqual(before);
  });

  describe('JWT-02 without an Authorization header', () => {
    test('JWT-02 a public field is answered', async () => {
      const { status, headers, data } = await world.ask('{ me { id } }');
      expect({ status, data }).toEqual({ status: 200, data: { me: null } });
      expect(headers.has('www-authenticate')).toBe(false);
    });

    test.each([
      ['a protected query', '{ consentedScopes { name } }'],
      ['a protected query beside a public one', '{ me { id } consentedScopes { name } }'],
      ['renewing', 'mutation { renewAccessToken(input: {}) { accessToken } }'],
      ['unlinking', 'mutation { unlinkRollupAccount(input: { accountId: "1" }) { unlinkedAccountId } }'],
    ])('JWT-02 %s is challenged without an error parameter', async (_title, operation) => {
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
      { alg, signature: 'a left-over valid' },
    ]);
    test.each(table)('JWT-03 alg $alg with $signature signature is refused', async ({ alg, signature }) => {
      const honest = await mint();
      const left = honest.split('.')[2] ?? '';
      await expectUnauthorized(withAlg(honest, alg, signature === 'an empty' ? '' : left));
      await expectAccepted(withAlg(honest, 'ES256', left));
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

    test('JWT-10 a token is refused while the key set holds two keys, whichever of them signed', async () => {
      await world.rollup.rotateKeys({ keepOld: false });
      world.clock.advance(JWKS_MAX_AGE_MS);
      const [byOld, namedOld] = [await mint(noKid), await mint()];
      await expectAccepted(byOld);
      await world.rollup.rotateKeys();
      await expectAccepted(await mint());
      await expectAccepted(namedOld);
      await expectUnauthorized(byOld);
      await expectUnauthorized(await mint(noKid));
    });
  });

  describe('JWT-13 with a claim spoiled and signed correctly', () => {
    const spoils: readonly (readonly [string, (value: unknown, claim: string) => unknown])[] = [
      ['removed', () => undefined],
      ['null', () => null],
      ['a wrong scalar', (_value, claim) => (claim === 'exp' || claim === 'iat' ? 'soon' : 123)],
      ['an array', (value, claim) => (claim === 'aud' ? [1, 2] : [value])],
      ['an object', (value) => ({ value })],
    ];
    const claims = ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'scope'];
    const table = claims.flatMap((claim) => spoils.map(([how, spoil]) => ({ claim, how, spoil })));
    const empty = ['iss', 'sub', 'aud', 'jti', 'scope'];
    test.each([...table, ...empty.map((claim) => ({ claim, how: 'empty text', spoil: () => '' }))])(
      'JWT-13 $claim as $how is refused',
      async ({ claim, spoil }) => {
        const honest = decodeJwt(await mint())[claim];
        expect(honest).toBeTruthy();
        await expectUnauthorized(await mint({ claims: { [claim]: spoil(honest, claim) } }));
      },
    );

    test('JWT-13 aud as our client id among what is no text is refused', async () => {
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
    ])('JWT-15 iss with %s is refused', async (_title, change) => {
      const iss = change(world.rollup.url);
      expect(iss).not.toBe(world.rollup.url);
      await expectUnauthorized(await mint({ claims: { iss } }));
    });
  });

  describe('JWT-16 with odd times', () => {
    test.each<[string, (now: number) => Record<string, unknown>]>([
      ['exp an hour ago', (now) => ({ iat: now - 2 * HOUR, exp: now - HOUR })],
      ['exp longer ago than the skew allows', (now) => ({ iat: now - HOUR, exp: now - 35 })],
      ['exp zero', () => ({ exp: 0 })],
      ['exp negative', () => ({ exp: -1 })],
      ['exp 1e300', () => ({ exp: 1e300 })],
      ['exp a number in text', (now) => ({ exp: String(now + HOUR) })],
      ['exp before iat', (now) => ({ iat: now + 20, exp: now + 10 })],
      ['exp ninety days after iat', (now) => ({ exp: now + 90 * 24 * HOUR })],
      ['no iat', () => ({ iat: undefined })],
    ])('JWT-16 %s is refused', async (_title, times) => {
      await expectUnauthorized(await mint({ claims: times(nowSeconds()) }));
    });

    test.each<[string, (now: number) => Record<string, unknown>]>([
      ['exp a fraction', (now) => ({ exp: now + HOUR - 0.75 })],
      ['exp no longer ago than the skew allows', (now) => ({ iat: now - HOUR, exp: now - 10 })],
    ])('JWT-16 %s is accepted', async (_title, times) => {
      await expectAccepted(await mint({ claims: times(nowSeconds()) }));
    });
  });

  const nowSeconds = (): number => Math.floor(world.clock.now() / 1_000);
});
