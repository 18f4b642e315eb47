import { decodeJwt } from 'jose';
import { createGate, type Fault } from '../../src/dev/instruments/faults.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import type { TokenKind } from '../../src/dev/rollup-id/tokens.js';
import { leanFetch } from '../../src/fetch.js';
import {
  type LinkRollupAccountErrorCode as Code,
  LinkRollupAccountDocument,
  RenewAccessTokenDocument,
} from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';
import type { ApprovedLink, LinkPayload } from '../kit/link-flow.js';

const TTL_SECONDS = 100;

type Fields = Record<string, unknown>;
type Edit = () => Fields | Promise<Fields>;
type Attempt = Pick<ApprovedLink, 'begun' | 'url'>;

describe('linkRollupAccount with a callback', () => {
  /** Whether the server sends a wrong client secret. */
  let secretIsWrong: boolean;
  const world = useWorld({
    env: { LINK_TTL_SECONDS: String(TTL_SECONDS), ROLLUP_TIMEOUT_MS: '2000' },
    fetch: async (input, init) => {
      if (secretIsWrong && init.body instanceof URLSearchParams) init.body.set('client_secret', 'wrong');
      return leanFetch(input, init);
    },
  });
  let mira: Person;
  let tomas: Person;
  beforeEach(() => {
    secretIsWrong = false;
    [mira, tomas] = world.people;
  });

  const approve = (scopes?: readonly string[]) => world.approve(mira, scopes ? { scopes } : {});
  const finish = async ({ begun, url }: Attempt): Promise<LinkPayload> => world.finish(begun, url);
  const ask = ({ input }: ApprovedLink) => world.ask(LinkRollupAccountDocument, { input });
  const codesOf = async (attempt: Attempt): Promise<Code[]> =>
    (await finish(attempt)).userErrors.map(({ code }) => code);
  const sealed = (): Promise<Fields[]> => world.rows('sealed_tokens');
  async function expectNothingStored(): Promise<void> {
    for (const table of ['app_user', 'rollup_account', 'sealed_tokens']) {
      expect(await world.rows(table)).toEqual([]);
    }
  }
  async function expectRejected(attempt: Attempt, code: Code, exchangeCalls: number): Promise<void> {
    const { userErrors, ...rest } = await finish(attempt);
    expect(userErrors).toMatchObject([{ code }]);
    expect(new Set(Object.values(rest))).toEqual(new Set([null]));
    expect(world.rollup.calls.exchange).toBe(exchangeCalls);
    await expectNothingStored();
  }
  async function expectRejectedForGood(code: Code, scopes?: readonly string[]): Promise<void> {
    const attempt = await approve(scopes);
    await expectRejected(attempt, code, 1);
    await expectRejected(attempt, 'LINK_NOT_FOUND', 1);
  }
  /** Overrides fields of the provider's successful responses; `undefined` omits one. */
  const edited = (edit: Edit): Fault => ({
    transform: async (response) => ({ ...response, ...(await edit()) }),
  });
  const faults = () => world.rollup.switches.faults;
  const fieldOf = { access: 'access_token', id: 'id_token', refresh: 'refresh_token' } as const;
  /** A response field with a token of Mira, or with other claims, or of another person. */
  async function token(kind: TokenKind, claims: Fields = {}, person = mira): Promise<Fields> {
    return { [fieldOf[kind]]: await world.rollup.mint(kind, person, { claims, scopes: ['openid'] }) };
  }
  const asAccess = async (kind: TokenKind) => ({ access_token: Object.values(await token(kind))[0] });
  /** They end by the clock of the database. */
  function letAttemptsAge(seconds: number): Promise<unknown> {
    const sql = `update pending_link set expires_at = expires_at - interval '1 second' * ?`;
    return world.em().execute(sql, [seconds]);
  }
  function hoursAgo(): Fields {
    const now = Math.floor(world.clock.now() / 1_000);
    return { iat: now - 7_200, exp: now - 3_600 };
  }

  test.each<[string, Code, string, 'is consumed' | 'stays pending', string | RegExp]>([
    ['LNK-03 an unknown state', 'LINK_NOT_FOUND', 'state=unknown', 'stays pending', /state=.*/],
    ['LNK-03 an empty state', 'LINK_NOT_FOUND', 'state=', 'stays pending', /state=.*/],
    ['LNK-04 no code', 'CODE_REJECTED', '', 'stays pending', /code=\w+&/],
    ['LNK-04 no state', 'LINK_NOT_FOUND', '', 'stays pending', /&state=.*/],
    ['LNK-04 the code twice', 'LINK_NOT_FOUND', '&code=other', 'stays pending', /$/],
    ['LNK-04 the state twice', 'LINK_NOT_FOUND', '&state=other', 'stays pending', /$/],
    ['LNK-04 the code as an array', 'CODE_REJECTED', 'code[]=', 'stays pending', 'code='],
    ['LNK-04 a code and an error', 'CODE_REJECTED', '&error=access_denied', 'stays pending', /$/],
    ['LNK-04 a value that is no URL', 'LINK_NOT_FOUND', 'nowhere', 'stays pending', /.*/],
    ['LNK-04 another path', 'LINK_NOT_FOUND', '/more?', 'is consumed', '?'],
    ['LNK-12 another issuer', 'CODE_REJECTED', '&iss=https://evil.example', 'is consumed', /$/],
    ['LNK-12 the issuer with a slash', 'CODE_REJECTED', '$&&iss=$1/', 'is consumed', /^(.*)\/app.*/],
    ['LNK-04 server_error', 'PROVIDER_UNAVAILABLE', 'error=server_error', 'is consumed', /code=\w+/],
    ['LNK-04 an unknown error', 'CODE_REJECTED', 'error=oops', 'is consumed', /code=\w+/],
  ])('%s in the callback is %s without a token request', async (_what, code, replacement, then, part) => {
    const attempt = await approve();
    await expectRejected({ ...attempt, url: attempt.url.replace(part, replacement) }, code, 0);
    expect(await codesOf(attempt)).toEqual(then === 'is consumed' ? ['LINK_NOT_FOUND'] : []);
  });

  test('LNK-03 the state of another, expired link is not found, without a token request', async () => {
    const { url } = await approve();
    await letAttemptsAge(TTL_SECONDS);
    await expectRejected({ begun: await world.start(), url }, 'LINK_NOT_FOUND', 0);
  });

  test('LNK-05 a callback is rejected the second time, and the first link does not change', async () => {
    const attempt = await approve();
    expect(await codesOf(attempt)).toEqual([]);
    const stored = await sealed();
    expect(await codesOf(attempt)).toEqual(['LINK_NOT_FOUND']);
    expect(world.rollup.calls.exchange).toBe(1);
    expect(await sealed()).toEqual(stored);
  });

  test('LNK-07 a callback expires after LINK_TTL_SECONDS', async () => {
    const [early, late] = [await approve(), await approve()];
    await letAttemptsAge(TTL_SECONDS / 2);
    expect(await codesOf(early)).toEqual([]);
    await letAttemptsAge(TTL_SECONDS / 2);
    expect(await codesOf(late)).toEqual(['LINK_NOT_FOUND']);
    expect(world.rollup.calls.exchange).toBe(1);
  });

  test('LNK-09 a callback without its own link token is not found; with it the link completes', async () => {
    const attempt = await approve();
    for (const linkToken of [(await world.start()).linkToken, attempt.begun.state, '']) {
      await expectRejected({ ...attempt, begun: { ...attempt.begun, linkToken } }, 'LINK_NOT_FOUND', 0);
    }
    expect(await codesOf(attempt)).toEqual([]);
  });

  test('LNK-05 Cancel is ACCESS_DENIED and consumes the link', async () => {
    const attempt = await approve();
    const url = await world.rollup.cancel(attempt.begun.authorizationUrl ?? '');
    await expectRejected({ ...attempt, url }, 'ACCESS_DENIED', 0);
    await expectRejected(attempt, 'LINK_NOT_FOUND', 0);
  });

  test.each([500, 401] as const)(
    'LNK-30 an expired code, reported with status %i, is CODE_REJECTED',
    async (status) => {
      world.rollup.switches.expiredCodeStatus = status;
      const [code = ''] = /code=\w+/.exec((await approve()).url) ?? [];
      world.clock.advance(120_000);
      const { begun, url } = await approve();
      await expectRejected({ begun, url: url.replace(/code=\w+/, code) }, 'CODE_REJECTED', 1);
    },
  );

  test.each<[string, Code, Edit | Fault]>([
    ['LNK-11 an ID token with another nonce', 'TOKEN_INVALID', () => token('id', { nonce: 'another' })],
    ['LNK-14 an ID token of another sub', 'SUBJECT_MISMATCH', () => token('id', {}, tomas)],
    ['LNK-15 no ID token', 'TOKEN_INVALID', () => ({ id_token: undefined })],
    ['LNK-16 an opaque access token', 'TOKEN_INVALID', () => ({ access_token: 'opaque' })],
    [
      'LNK-16 an access token for another audience',
      'TOKEN_INVALID',
      () => token('access', { aud: ['other'] }),
    ],
    [
      'LNK-16 an access token of another issuer',
      'TOKEN_INVALID',
      () => token('access', { iss: 'https://x.y' }),
    ],
    ['LNK-16 an expired access token', 'TOKEN_INVALID', () => token('access', hoursAgo())],
    ['LNK-16 a refresh token as access token', 'TOKEN_INVALID', () => asAccess('refresh')],
    ['LNK-16 an ID token as access token', 'TOKEN_INVALID', () => asAccess('id')],
    ['LNK-16 an oversized access token', 'TOKEN_INVALID', () => token('access', { pad: 'x'.repeat(20_000) })],
    ['LNK-16 an access token of another sub', 'SUBJECT_MISMATCH', () => token('access', {}, tomas)],
    ['LNK-17 a refresh token of another sub', 'SUBJECT_MISMATCH', () => token('refresh', {}, tomas)],
    ['LNK-18 the token type mac', 'TOKEN_INVALID', () => ({ token_type: 'mac' })],
    ['LNK-18 no token type', 'TOKEN_INVALID', () => ({ token_type: undefined })],
    ['LNK-30 status 500', 'PROVIDER_UNAVAILABLE', { status: 500 }],
    ['LNK-30 an HTML page', 'PROVIDER_UNAVAILABLE', { body: '<html>' }],
    ['LNK-30 no response', 'PROVIDER_UNAVAILABLE', createGate().fault],
    ['LNK-30 a reset', 'PROVIDER_UNAVAILABLE', { reset: 'before-headers' }],
    ['LNK-30 a reset in mid-response', 'PROVIDER_UNAVAILABLE', { reset: 'after-headers' }],
  ])('%s is %s, nothing is stored, and the code is not sent again', async (_what, code, fault) => {
    faults().exchange.standing = typeof fault === 'function' ? edited(fault) : fault;
    await expectRejectedForGood(code, ['openid']); // needs no call to userinfo
  });

  test('LNK-14 userinfo of another sub is SUBJECT_MISMATCH, and nothing is stored', async () => {
    faults().userinfo.standing = edited(() => ({ sub: tomas.sub }));
    await expectRejectedForGood('SUBJECT_MISMATCH');
  });

  test('LNK-30 a wrong client secret is PROVIDER_MISCONFIGURED, and the response discloses no more', async () => {
    secretIsWrong = true;
    const { data, errors, text } = await ask(await approve());
    expect(data).toBeNull();
    expect(errors).toMatchObject([{ extensions: { code: 'PROVIDER_MISCONFIGURED' } }]);
    expect(text).not.toMatch(/secret|credentials/);
    expect(world.rollup.calls.exchange).toBe(1);
    await expectNothingStored();
  });

  test.each<[Code | 'PROVIDER_MISCONFIGURED', Fault]>([
    ['PROVIDER_MISCONFIGURED', { status: 400, body: { message: 'invalid client credentials' } }],
    ['PROVIDER_UNAVAILABLE', { status: 500 }],
    ['CODE_REJECTED', { status: 500, body: { message: 'expired code' } }],
    ['TOKEN_INVALID', { body: { token_type: 'Bearer', access_token: 'opaque' } }],
  ])('LNK-30 %s is in the response and in the log', async (code, fault) => {
    faults().exchange.standing = fault;
    expect((await ask(await approve())).text).toContain(code);
    expect(world.logLines.join('')).toContain(code);
  });

  test.each<[string, Fields, number | undefined]>([
    ['no expires_in', {}, undefined],
    ['60 seconds', { expires_in: 60 }, 60],
    ['60 seconds as text', { expires_in: '60' }, 60],
    ['-1 second', { expires_in: -1 }, undefined],
    ['the whole lifetime as text', { expires_in: '3600' }, undefined],
    ['an absurd lifetime', { expires_in: 1e12 }, undefined],
    ['the token type in lower case', { token_type: 'bearer' }, undefined],
  ])(
    'LNK-18 a response with %s sets the expiry from expires_in and exp, whichever is valid and earlier',
    async (_what, fields, expiresIn) => {
      faults().exchange.standing = edited(() => fields);
      const earliest = world.clock.now();
      const response = await finish(await approve());
      const end = Date.parse(response.accessTokenExpiresAt ?? '');
      const exp = (decodeJwt(response.accessToken ?? '').exp ?? 0) * 1_000;
      expect(response.userErrors).toEqual([]);
      expect(response.account?.accessTokenExpiresAt).toBe(response.accessTokenExpiresAt);
      expect(end).toBeGreaterThanOrEqual(expiresIn ? earliest + expiresIn * 1_000 : exp);
      expect(end).toBeLessThanOrEqual(expiresIn ? world.clock.now() + expiresIn * 1_000 : exp);
    },
  );

  test.each<[string[], Fields, number, Fields]>([
    [['openid'], {}, 0, { name: null, email: null }],
    [['openid'], { name: 'M', email: 'm@example.com' }, 0, { name: null, email: null }],
    [['openid', 'profile'], {}, 0, { name: 'Mira Okafor', email: null }],
    [['openid', 'email'], {}, 1, { name: null, email: 'mira@example.com' }],
    [['openid', 'profile', 'email'], {}, 1, { name: 'Mira Okafor', email: 'mira@example.com' }],
    [['openid', 'email'], { email: 'm@example.com' }, 0, { name: null, email: 'm@example.com' }],
    [['openid', 'profile'], { name: 'M\0', picture: 'P' }, 0, { name: null, picture: 'P' }],
    [['openid', 'profile'], { name: 'x'.repeat(10_001), picture: 'P' }, 0, { name: null, picture: 'P' }],
    [['openid', 'profile'], { name: ['M'], picture: 'P' }, 0, { name: null, picture: 'P' }],
  ])(
    'LNK-01 with consent to %j and the ID token claims %j, userinfo is called %i times and the user is %j',
    async (scopes, claims, calls, user) => {
      faults().exchange.standing = edited(() => token('id', { name: mira.name, ...claims }));
      expect((await finish(await approve(scopes))).user).toMatchObject(user);
      expect(world.rollup.calls.userinfo).toBe(calls);
    },
  );

  test('LNK-17 without a refresh token the link works until its access token expires', async () => {
    faults().exchange.standing = edited(() => ({ refresh_token: undefined }));
    const { userErrors, accessToken } = await finish(await approve());
    expect(userErrors).toEqual([]);
    expect(await sealed()).toMatchObject([{ refresh_token: null }]);
    const renew = async (bearer: string) =>
      world.ask(RenewAccessTokenDocument, { input: { minTtlSeconds: 1_800 } }, { token: bearer });
    expect((await renew(accessToken ?? '')).data.renewAccessToken.accessToken).toBe(accessToken);
    world.clock.advance(3_600_000);
    const { errors } = await renew(await world.rollup.mint('access', mira));
    expect(errors).toMatchObject([{ extensions: { code: 'REAUTHENTICATION_REQUIRED' } }]);
    expect(world.rollup.calls.refresh).toBe(0);
  });
});
