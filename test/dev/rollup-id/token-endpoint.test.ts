import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { newCode, postToken, read, tokenForm, userinfo } from './client.js';
import { useRollupId } from '../../kit/hooks.js';

const START = Date.parse('2024-03-01T12:00:00Z');

describe('the token endpoint', () => {
  let now = START;
  const rollup = useRollupId({ now: () => now });
  beforeEach(() => void (now = START));

  test('exchanges a code for four fields in order, without expires_in and scope', async () => {
    const { status, headers, body } = await postToken(rollup, { code: await newCode(rollup) });
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(['token_type', 'access_token', 'refresh_token', 'id_token']);
    expect(body['token_type']).toBe('Bearer');
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('pragma')).toBe('no-cache');
    expect(headers.has('x-remix-catch')).toBe(false);
  });

  test('signs three tokens that differ by their claims only', async () => {
    const [person] = rollup.people;
    const { body } = await postToken(rollup, { code: await newCode(rollup) });
    const keys = createLocalJWKSet(
      (await (await fetch(`${rollup.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet,
    );
    const iat = START / 1000;
    const base = { iss: rollup.url, aud: [rollup.clientId], sub: person?.sub, iat };
    const jti: unknown = expect.stringMatching(/^0x[0-9a-f]{48}$/);
    const scope = 'openid profile email';
    const expected = {
      access_token: { ...base, exp: iat + 3600, jti, scope },
      refresh_token: { ...base, jti, scope },
      id_token: { ...base, exp: iat + 3600, name: person?.name, picture: person?.picture },
    };
    for (const [name, claims] of Object.entries(expected)) {
      const verified = await jwtVerify(String(body[name]), keys, { currentDate: new Date(now) });
      expect(verified.payload).toEqual(claims);
      expect(verified.protectedHeader).toEqual({
        alg: 'ES256',
        jku: `${rollup.url}/.well-known/jwks.json`,
        kid: String(START),
        typ: 'JWT',
      });
    }
  });

  test('omits profile claims from the ID token without the scope, and each one that is unset', async () => {
    const { body } = await postToken(rollup, { code: await newCode(rollup, {}, 'openid email') });
    expect(Object.keys(decodeJwt(String(body['id_token'])))).toEqual(['iss', 'aud', 'sub', 'iat', 'exp']);
    const code = await newCode(rollup, { person: rollup.people[2] }, 'openid profile');
    const bare = decodeJwt(String((await postToken(rollup, { code })).body['id_token']));
    expect(bare).not.toHaveProperty('name');
    expect(bare).not.toHaveProperty('picture');
  });

  test('refreshes to an access token of the same scope only, any number of times', async () => {
    const { refreshToken, accessToken } = await rollup.issue(rollup.people[1] ?? noPerson(), [
      'openid',
      'erc_4337',
    ]);
    now += 7_200_000;
    for (const attempt of [1, 2]) {
      const { status, body } = await postToken(rollup, { refresh_token: refreshToken });
      expect([attempt, status, Object.keys(body)]).toEqual([attempt, 200, ['token_type', 'access_token']]);
      const { sub, scope, iat, exp } = decodeJwt(String(body['access_token']));
      expect({ sub, scope }).toEqual({ sub: decodeJwt(accessToken).sub, scope: 'openid erc_4337' });
      expect([iat, exp]).toEqual([now / 1000, now / 1000 + 3600]);
    }
    expect(rollup.calls.refresh).toBe(2);
    expect(rollup.calls.refreshesOf(decodeJwt(refreshToken).sub ?? '')).toBe(2);
  });

  test('switches the lifetime of access tokens', async () => {
    rollup.switches.accessTokenLifetimeSeconds = 30;
    const { body } = await postToken(rollup, { code: await newCode(rollup) });
    const { iat = 0, exp } = decodeJwt(String(body['access_token']));
    expect(exp).toBe(iat + 30);
  });

  test('ignores the grant type and prefers a refresh token to a code', async () => {
    const refresh_token = await rollup.mint('refresh', rollup.people[0] ?? noPerson());
    const both = await postToken(rollup, {
      grant_type: 'authorization_code',
      code: await newCode(rollup),
      refresh_token,
    });
    expect(Object.keys(both.body)).toEqual(['token_type', 'access_token']);
    const odd = await postToken(rollup, {
      grant_type: 'nonsense',
      code: await newCode(rollup),
      refresh_token: '',
    });
    expect(odd.body).toHaveProperty('id_token');
  });

  test('accepts multipart forms, but neither JSON nor Basic credentials', async () => {
    const fields = {
      client_id: rollup.clientId,
      client_secret: rollup.clientSecret,
      code: await newCode(rollup),
    };
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    const url = `${rollup.url}/token`;
    expect((await fetch(url, { method: 'POST', body: form })).status).toBe(200);
    const asJson = { 'content-type': 'application/json' };
    const inJson = await read(
      await fetch(url, { method: 'POST', headers: asJson, body: JSON.stringify(fields) }),
    );
    expect([inJson.status, inJson.body['message']]).toEqual([500, 'data error']);
    const basic = Buffer.from(`${rollup.clientId}:${rollup.clientSecret}`).toString('base64');
    const withBasic = await read(
      await fetch(url, {
        method: 'POST',
        headers: { authorization: `Basic ${basic}` },
        body: new URLSearchParams({ code: fields.code }),
      }),
    );
    expect([withBasic.status, withBasic.body['message']]).toEqual([500, 'data error']);
  });

  test('exchanges a code repeatedly for 120 seconds', async () => {
    const code = await newCode(rollup);
    const first = await postToken(rollup, { code });
    now += 119_999;
    const second = await postToken(rollup, { code });
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.body['refresh_token']).not.toBe(first.body['refresh_token']);
    now += 1;
    expect(await postToken(rollup, { code })).toMatchObject({
      status: 500,
      body: { message: 'expired code' },
    });
  });

  test('exchanges a code once when strict', async () => {
    rollup.switches.strict = true;
    const code = await newCode(rollup);
    expect((await postToken(rollup, { code })).status).toBe(200);
    expect(await postToken(rollup, { code })).toMatchObject({
      status: 500,
      body: { message: 'expired code' },
    });
  });

  test('refreshes after a revocation, but when strict only tokens of a later approval', async () => {
    const person = rollup.people[0] ?? noPerson();
    const { refreshToken } = await rollup.issue(person);
    rollup.revoke(person);
    expect((await postToken(rollup, { refresh_token: refreshToken })).status).toBe(200);
    rollup.switches.strict = true;
    const rejected = { status: 401, body: { message: 'token verification failed' } };
    expect(await postToken(rollup, { refresh_token: refreshToken })).toMatchObject(rejected);
    const approved = await rollup.issue(person);
    expect((await postToken(rollup, { refresh_token: approved.refreshToken })).status).toBe(200);
    expect(await postToken(rollup, { refresh_token: refreshToken })).toMatchObject(rejected);
  });

  test('issues with the origin of the request as the issuer', async () => {
    const { refreshToken } = await rollup.issue(rollup.people[0] ?? noPerson());
    const other = rollup.url.replace('127.0.0.1', 'localhost');
    const body = tokenForm(rollup, { refresh_token: refreshToken });
    const refreshed = await read(await fetch(`${other}/token`, { method: 'POST', body }));
    const token = String(refreshed.body['access_token']);
    expect(decodeJwt(token).iss).toBe(other);
    expect(decodeProtectedHeader(token)['jku']).toBe(`${other}/.well-known/jwks.json`);
    expect((await userinfo(rollup, token)).body['message']).toBe('token claim validation failed');
  });
});

function noPerson(): never {
  throw new Error('The provider starts with people');
}
