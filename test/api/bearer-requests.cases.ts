import { decodeJwt, decodeProtectedHeader } from 'jose';
import { compact, ecSigner, withSignature } from '../kit/forged-token.js';
import { useWorld } from '../kit/hooks.js';
import { connectRaw, type RawResponse, rawRequest } from '../kit/network.js';
import { bearerChecks } from '../kit/bearer-checks.js';

const ME = '{ me { id } }';

describe('a request with a bearer', () => {
  const world = useWorld();
  const attacker = ecSigner('attacker');
  const { person, mint, expectAccepted, expectUnauthorized } = bearerChecks(world);
  beforeEach(() => world.link(person()));

  describe('JWT-17 issued by a clock that is ahead', () => {
    test.each(['nbf', 'iat'])('JWT-17 %s ten seconds in the future is accepted', async (claim) => {
      await expectAccepted(await mint({ claims: { [claim]: nowSeconds() + 10 } }));
    });

    test.each(['nbf', 'iat'])('JWT-17 %s a minute in the future is rejected', async (claim) => {
      await expectUnauthorized(await mint({ claims: { [claim]: nowSeconds() + 61 } }));
    });

    test.each(['nbf', 'iat'])(
      'JWT-17 %s a minute in the future is accepted once that time is reached',
      async (claim) => {
        const token = await mint({ claims: { [claim]: nowSeconds() + 61 } });
        await expectUnauthorized(token);
        world.clock.advance(61_000);
        await expectAccepted(token);
      },
    );
  });

  test.each<[string, number[], string]>([
    ['of 8 kB', [401], `"${'x'.repeat(5_500)}"`],
    ['of 15 kB', [401], `"${'x'.repeat(10_800)}"`],
    ['larger than the header limit', [431], `"${'x'.repeat(20_000)}"`],
    ['nested 5 000 deep', [401], '['.repeat(5_000) + ']'.repeat(5_000)],
  ])(
    'JWT-24 a forged token %s is rejected, forty times, and the next valid one accepted',
    async (_title, statuses, pad) => {
      const payload = JSON.stringify(decodeJwt(await mint())).replace('{', `{"pad":${pad},`);
      const token = compact(decodeProtectedHeader(await mint()), payload, attacker.sign);
      const seen = new Set<number | undefined>();
      for (let times = 0; times < 40; times += 1) seen.add((await send([bearer(token)]))?.status);
      expect([...seen]).toEqual(statuses);
      await expectAccepted(await mint());
    },
  );

  describe('JWT-25 in the Authorization header', () => {
    test.each(['bearer', 'BEARER', 'bEaReR'])('JWT-25 the scheme as %s is accepted', async (scheme) => {
      const response = await send([`Authorization: ${scheme} ${await mint()}`]);
      expect([response?.status, response?.body]).toEqual([200, expect.stringMatching(/"me":\{"id"/)]);
    });

    test.each<[string, (token: string) => readonly string[]]>([
      ['two spaces', (token) => [`Authorization: Bearer  ${token}`]],
      ['a tab', (token) => [`Authorization: Bearer\t${token}`]],
      ['something after the token', (token) => [`Authorization: Bearer ${token} x`]],
      ['a parameter after the token', (token) => [`Authorization: Bearer ${token}, realm="x"`]],
      ['a list of tokens', (token) => [`Authorization: Bearer ${token},${token}`]],
      ['a list of credentials', (token) => [`Authorization: Bearer ${token}, Bearer ${token}`]],
      ['the Basic scheme', (token) => [`Authorization: Basic ${Buffer.from(token).toString('base64')}`]],
      ['the Basic scheme and a token', (token) => [`Authorization: Basic ${token}`]],
      ['an empty bearer', () => ['Authorization: Bearer ']],
      ['an empty header', () => ['Authorization:']],
      ['a token without a scheme', (token) => [`Authorization: ${token}`]],
      ['the same header twice', (token) => [bearer(token), bearer(token)]],
      ['a valid header before an invalid one', (token) => [bearer(token), bearer('x')]],
      ['an invalid header before a valid one', (token) => [bearer('x'), bearer(token)]],
      ['an empty header before a valid one', (token) => ['Authorization:', bearer(token)]],
    ])('JWT-25 %s is rejected', async (_title, lines) => {
      const response = await send(lines(await mint()));
      expect([400, 401]).toContain(response?.status);
      expect(response?.body).not.toContain('"data"');
    });
  });

  describe('JWT-26 with an identity outside the Authorization header', () => {
    test.each<[string, (token: string) => readonly string[]]>([
      ['a cookie', (token) => [`Cookie: access_token=${token}; Authorization=Bearer ${token}`]],
      ['X-Authorization', (token) => [`X-Authorization: Bearer ${token}`]],
      ['Proxy-Authorization', (token) => [`Proxy-Authorization: Bearer ${token}`]],
      ['X-User-Id', () => [`X-User-Id: ${person().sub}`]],
      ['X-Forwarded-User', () => [`X-Forwarded-User: ${person().sub}`]],
    ])('JWT-26 %s is anonymous', async (_title, lines) => {
      const token = await mint();
      const response = await send(lines(token));
      expect([response?.status, response?.body]).toEqual([200, '{"data":{"me":null}}\n']);
      const named = await send([...lines(token), bearer(token)]);
      expect(named?.body).toMatch(/"me":\{"id"/);
    });

    test('JWT-26 the query string is anonymous', async () => {
      const response = await send([], `/graphql?access_token=${await mint()}`);
      expect([response?.status, response?.body]).toEqual([200, '{"data":{"me":null}}\n']);
    });

    test('JWT-26 a GraphQL variable, and members of the body, are anonymous', async () => {
      const token = await mint();
      const variables = { access_token: token, authorization: `Bearer ${token}` };
      const body = { query: ME, variables, access_token: token, extensions: variables };
      const response = await post('application/json', JSON.stringify(body));
      expect(response).toEqual([200, '{"data":{"me":null}}\n']);
    });

    test('JWT-26 a form body is rejected unread', async () => {
      const form = new URLSearchParams({ query: ME, access_token: await mint() });
      const [status, text] = await post('application/x-www-form-urlencoded', form.toString());
      expect([400, 415]).toContain(status);
      expect(text).not.toContain('"data"');
    });

    async function post(type: string, body: string): Promise<[number, string]> {
      const headers = { 'content-type': type, 'apollo-require-preflight': 'true' };
      const response = await fetch(`${world.app.url}/graphql`, { method: 'POST', headers, body });
      return [response.status, await response.text()];
    }
  });

  test.each<[string, () => string | Promise<string>]>([
    ['an expired', () => mint({ claims: { iat: nowSeconds() - 7_200, exp: nowSeconds() - 3_600 } })],
    ['a forged', async () => withSignature(await mint(), Buffer.alloc(64, 1))],
    ['a garbage', () => 'garbage'],
  ])('JWT-27 %s bearer on a public query is rejected, not treated as anonymous', async (_title, create) => {
    const response = await send([bearer(await create())]);
    expect([response?.status, response?.body.includes('"data"')]).toEqual([401, false]);
    expect(response?.head).toMatch(/^www-authenticate: Bearer error="invalid_token"\r?$/im);
  });

  test('JWT-35 a bad signature, an expired token, an unknown kid and a wrong audience get the same R401', async () => {
    const responses = [
      withSignature(await mint(), Buffer.alloc(64, 1)),
      await mint({ claims: { iat: nowSeconds() - 7_200, exp: nowSeconds() - 3_600 } }),
      await mint({ header: { kid: 'unknown' } }),
      await mint({ claims: { aud: ['another'] } }),
    ].map(async (token) => {
      const response = await send([bearer(token), 'X-Request-Id: same']);
      return { body: response?.body, head: response?.head.replace(/^date: .*$/im, '') };
    });
    const [first, ...others] = await Promise.all(responses);
    expect(first?.head).toMatch(/^HTTP\/1\.1 401 .*\r\nwww-authenticate: Bearer error="invalid_token"\r\n/is);
    expect(first?.body).toContain('"code":"UNAUTHENTICATED"');
    for (const response of others) expect(response).toEqual(first);
  });

  describe('JWT-37 with insufficient scopes', () => {
    test('JWT-37 email without the scope email: 403, and the rest of me is returned', async () => {
      const token = await mint({ scopes: ['openid', 'profile'] });
      const { status, headers, data, errors } = await world.ask('{ me { id name email } }', {}, { token });
      expect(status).toBe(403);
      expect(headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="email"');
      expect(data).toEqual({ me: { id: expect.any(String), name: person().name, email: null } });
      expect(errors.map(({ path, extensions }) => ({ path, extensions }))).toEqual([
        {
          path: ['me', 'email'],
          extensions: { code: 'FORBIDDEN', requiredScopes: ['email'], missingScopes: ['email'] },
        },
      ]);
    });

    test('JWT-37 the challenge names every missing scope once', async () => {
      const token = await mint({ scopes: ['openid'] });
      const { status, headers, errors } = await world.ask('{ me { id name picture email } }', {}, { token });
      const challenge = 'Bearer error="insufficient_scope", scope="profile email"';
      expect([status, headers.get('www-authenticate'), errors.length]).toEqual([403, challenge, 3]);
    });
  });

  const bearer = (token: string): string => `Authorization: Bearer ${token}`;
  const nowSeconds = (): number => Math.floor(world.clock.now() / 1_000);

  async function send(lines: readonly string[], path?: string): Promise<RawResponse | undefined> {
    const connection = await connectRaw(world.app.url);
    const [response] = await connection.send([rawRequest(ME, lines, path)]);
    connection.close();
    return response;
  }
});
