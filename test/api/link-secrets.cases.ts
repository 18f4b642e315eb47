import { createHash } from 'node:crypto';
import { isInputObjectType, isObjectType } from 'graphql';
import type { CryptoKey, JWK } from 'jose';
import type { Fault } from '../../src/dev/instruments/faults.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import type { MintOverrides } from '../../src/dev/rollup-id/tokens.js';
import { leanFetch } from '../../src/fetch.js';
import { createSchema } from '../../src/graphql/schema.js';
import { LinkRollupAccountDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import { foreignKey } from '../kit/forged-token.js';
import { useWorld } from '../kit/hooks.js';
import type { StartPayload } from '../kit/link-flow.js';

const STARTS = 200;
const VERIFIERS = 25;
const HOUR = 3_600;
/** 32 bytes in base64url. */
const SECRET = /^[\w-]{43}$/;

/** A request to the provider. */
interface Sent {
  readonly url: string;
  readonly headers: string;
  readonly body: URLSearchParams | undefined;
}

describe('the secrets of a link', () => {
  const sent: Sent[] = [];
  const world = useWorld({
    env: { RATE_LIMIT_SUBJECT: '100000', RATE_LIMIT_ADDRESS: '100000' },
    fetch: async (url, init) => {
      const body = init.body instanceof URLSearchParams ? new URLSearchParams(init.body) : undefined;
      sent.push({ url, headers: JSON.stringify([...new Headers(init.headers)]), body });
      return leanFetch(url, init);
    },
  });
  let mira: Person;
  beforeEach(() => {
    [mira] = world.people;
    sent.length = 0;
  });

  const faults = () => world.rollup.switches.faults;
  const parameterOf = (begun: StartPayload, name: string): string =>
    new URL(begun.authorizationUrl ?? '').searchParams.get(name) ?? '';
  const count = async (table: string): Promise<number> => (await world.rows(table)).length;

  test(`LNK-02 ${STARTS} links started by one user share no secret, and each secret is 256 random bits`, async () => {
    const { token, userId } = await world.linkPerson();
    const secrets: string[] = [];
    for (let begun = 0; begun < STARTS; begun += 20) {
      const some = await Promise.all(Array.from({ length: 20 }, () => world.start(['openid'], token)));
      for (const one of some) {
        const parameters = [parameterOf(one, 'nonce'), parameterOf(one, 'code_challenge')];
        secrets.push(one.state ?? '', one.linkToken ?? '', ...parameters);
      }
    }
    sent.length = 0;
    for (let begun = 0; begun < VERIFIERS; begun += 1) {
      const one = await world.start(['openid'], token);
      await world.finish(one, `${world.config.rollup.redirectUris[0]}?code=any&state=${one.state}`, token);
    }
    secrets.push(...sent.flatMap(({ body }) => body?.get('code_verifier') ?? []));
    expect(secrets).toHaveLength(4 * STARTS + VERIFIERS);
    expect(secrets.filter((secret) => !SECRET.test(secret))).toEqual([]);
    expect(new Set(secrets).size).toBe(secrets.length);
    const bytes = secrets.map((secret) => Buffer.from(secret, 'base64url'));
    const identifying = [mira.sub, userId, userId.replaceAll('-', '')].flatMap((text) => [
      Buffer.from(text).subarray(0, 8),
      Buffer.from(text.replace(/^.*0x/, ''), 'hex').subarray(0, 8),
    ]);
    expect(bytes.filter((one) => identifying.some((part) => part.length > 0 && one.includes(part)))).toEqual(
      [],
    );
    // Each of the 256 bits is set in about half of the secrets, so no part is constant, a counter or a time.
    for (let bit = 0; bit < 256; bit += 1) {
      const set = bytes.filter((one) => ((one[bit >> 3] ?? 0) >> (bit & 7)) & 1).length;
      expect(Math.abs(set / bytes.length - 0.5)).toBeLessThan(0.12);
    }
  });

  const now = () => Math.floor(world.clock.now() / 1_000);
  test.each<[string, () => Promise<MintOverrides> | MintOverrides]>([
    ['the algorithm none', () => ({ header: { alg: 'none' } })],
    ['HS256 with the public key', async () => ({ header: { alg: 'HS256' }, key: await publicKeyAsSecret() })],
    ['the signature of another key', async () => ({ key: await foreignKey() })],
    ['another issuer', () => ({ claims: { iss: 'https://evil.example' } })],
    ['another audience', () => ({ claims: { aud: ['other'] } })],
    [
      'an additional audience',
      () => ({ claims: { aud: [world.rollup.clientId, 'other'], azp: world.rollup.clientId } }),
    ],
    ['another authorized party', () => ({ claims: { azp: 'other' } })],
    ['an expired lifetime', () => ({ claims: { iat: now() - 2 * HOUR, exp: now() - HOUR } })],
    ['no exp', () => ({ claims: { exp: undefined } })],
    ['no iat', () => ({ claims: { iat: undefined } })],
    ['no sub', () => ({ claims: { sub: undefined } })],
    ['an iat in the future', () => ({ claims: { iat: now() + HOUR, exp: now() + 2 * HOUR } })],
  ])('LNK-15 an ID token with %s is rejected and nothing is stored', async (_what, overrides) => {
    faults().exchange.standing = withIdToken(async () => overrides());
    await expectRejected();
  });

  test('LNK-15 a response without an ID token is rejected and nothing is stored', async () => {
    faults().exchange.standing = { transform: ({ id_token: _none, ...rest }) => rest };
    await expectRejected();
  });

  test('LNK-15 an ID token without kid is rejected while the key set holds two keys, and nothing is stored', async () => {
    await world.rollup.rotateKeys();
    faults().exchange.standing = withIdToken(() => ({ header: { kid: undefined } }));
    await expectRejected();
  });

  test('LNK-15 a valid ID token of the same mint is accepted', async () => {
    faults().exchange.standing = withIdToken(() => ({}));
    expect((await world.link(mira, { scopes: ['openid'] })).userErrors).toEqual([]);
  });

  const withIdToken = (overrides: () => Promise<MintOverrides> | MintOverrides): Fault => ({
    transform: async (response) => ({
      ...response,
      id_token: await world.rollup.mint('id', mira, await overrides()),
    }),
  });
  async function expectRejected(): Promise<void> {
    const { userErrors, user, accessToken } = await world.link(mira, { scopes: ['openid'] });
    expect(userErrors).toMatchObject([{ code: 'TOKEN_INVALID' }]);
    expect([user, accessToken]).toEqual([null, null]);
    for (const table of ['app_user', 'rollup_account', 'sealed_tokens', 'pending_link']) {
      expect(await count(table)).toBe(0);
    }
  }
  async function publicKeyAsSecret(): Promise<CryptoKey> {
    const { keys } = (await (await fetch(`${world.rollup.url}/.well-known/jwks.json`)).json()) as {
      keys: JWK[];
    };
    const bytes = Buffer.from(JSON.stringify(keys[0]));
    return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  }

  const errorResponse = (message: string, status: number): Fault => ({ status, body: { message } });
  test.each<[string, Fault | undefined]>([
    ['succeeds', undefined],
    ['has its code rejected', errorResponse('expired code', 500)],
    ['has its credentials rejected', errorResponse('invalid client credentials', 400)],
    ['is cut off', { reset: 'after-headers' }],
  ])(
    'LNK-28 LNK-29 when a link %s, no secret is in a URL, a header, a log line or an error',
    async (_what, fault) => {
      faults().exchange.standing = fault;
      const { begun, url, input } = await world.approve();
      const response = await world.ask(LinkRollupAccountDocument, { input });
      expect(fault ? [] : await renewalErrors()).toEqual([]);
      await world.requestsLogged(fault ? 2 : 3);
      const { clientSecret } = world.rollup;
      const posts = sent.filter(({ body }) => body !== undefined);
      expect(posts.map((post) => post.url)).toEqual(posts.map(() => `${world.rollup.url}/token`));
      expect(posts.map(({ body }) => body?.get('client_secret'))).toEqual(posts.map(() => clientSecret));
      expect(posts).toHaveLength(fault ? 1 : 2);
      const verifier = fieldOf(posts[0], 'code_verifier');
      const secrets = [
        clientSecret,
        new URL(url).searchParams.get('code') ?? '',
        String(begun.state),
        String(begun.linkToken),
        verifier,
        parameterOf(begun, 'nonce'),
        ...posts.slice(1).map((post) => fieldOf(post, 'refresh_token')),
      ];
      expect(Math.min(...secrets.map(({ length }) => length))).toBeGreaterThan(20);
      const places = {
        log: world.logLines.join(''),
        statements: world.statements.join('\n'),
        response: response.text + JSON.stringify([...response.headers]),
        urls: sent.map((one) => one.url).join('\n'),
        headers: sent.map((one) => one.headers).join('\n'),
      };
      expect(world.logLines.some((line) => line.includes('"level":"trace"'))).toBe(true);
      for (const [place, text] of Object.entries(places)) {
        const found = secrets.filter((secret) => text.includes(secret));
        expect({ place, found: found.map((secret) => secrets.indexOf(secret)) }).toEqual({
          place,
          found: [],
        });
      }
      expect(begun.authorizationUrl).not.toMatch(
        new RegExp(`${clientSecret}|${verifier}|${begun.linkToken}`),
      );
    },
  );

  const fieldOf = (post: Sent | undefined, name: string): string => post?.body?.get(name) ?? '';
  async function renewalErrors(): Promise<unknown[]> {
    world.clock.advance(HOUR * 1_000);
    const token = await world.rollup.mint('access', mira);
    return [...(await world.ask(RenewAccessTokenDocument, { input: {} }, { token })).errors];
  }

  test('LNK-29 the callback page is not cached and sends no referrer', async () => {
    const page = await fetch((await world.approve()).url);
    expect(page.status).toBe(200);
    expect(page.headers.get('cache-control')).toContain('no-store');
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
    // The only script that the page may run removes the code from the address bar and the history.
    const [, script = ''] = /<script>(.*?)<\/script>/s.exec(await page.text()) ?? [];
    expect(script).toContain("history.replaceState(null, '', location.pathname)");
    const digest = createHash('sha256').update(script).digest('base64');
    expect(page.headers.get('content-security-policy')).toContain(`script-src 'sha256-${digest}';`);
  });

  test('LNK-25 no input or field names a URL to continue at, so there is no open redirect', async () => {
    const types = Object.values((await createSchema()).getTypeMap()).filter(
      ({ name }) => !name.startsWith('__'),
    );
    const inputs = types.filter(isInputObjectType).flatMap((type) => Object.keys(type.getFields()));
    const fields = types
      .filter(isObjectType)
      .flatMap((type) =>
        Object.values(type.getFields()).flatMap(({ name, args }) =>
          [name].concat(args.map((arg) => arg.name)),
        ),
      );
    const places = /return|redirect|next|continue|target|location|goto|url|uri|href/i;
    expect(inputs.filter((name) => places.test(name)).toSorted()).toEqual(['redirectUri', 'url']);
    expect([...new Set(fields.filter((name) => places.test(name)))]).toEqual(['authorizationUrl']);
  });
});
