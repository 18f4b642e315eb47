import { createHash } from 'node:crypto';
import { createApp } from '../../src/app.js';
import { openDatabase } from '../../src/database/orm.js';
import { ProviderMisconfiguredError } from '../../src/errors.js';
import { type FetchInit, leanFetch } from '../../src/fetch.js';
import { createLog } from '../../src/log.js';
import { type StartRollupLinkInput, StartRollupLinkDocument } from '../generated/graphql.js';
import { createGraphqlClient } from '../kit/graphql-client.js';
import { useStarted, useWorld } from '../kit/hooks.js';
import type { StartPayload } from '../kit/link-flow.js';
import { createTestDatabase } from '../kit/test-database.js';

const HOST = 'app.example.com';
const REDIRECT_URI = `https://${HOST}/callback`;
/** The default of LINK_TTL_SECONDS. */
const TTL_MS = 600_000;
/** 32 bytes in base64url. */
const SECRET = /^[\w-]{43}$/;
/** An issuer with TLS that exists only in the `fetch` of the test. */
const ISSUER = 'https://passport.example';
const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  userinfo_endpoint: `${ISSUER}/userinfo`,
  jwks_uri: `${ISSUER}/jwks.json`,
};

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

describe('startRollupLink', () => {
  /** Bodies of the requests to the provider; null for a request without one. */
  const sent: FetchInit['body'][] = [];
  const world = useWorld({
    env: { ROLLUP_REDIRECT_URIS: REDIRECT_URI },
    fetch: async (url, init) => {
      sent.push(init.body);
      return leanFetch(url, init);
    },
  });
  const spare = useStarted(async (closeToo) => {
    const { settings } = closeToo(await createTestDatabase());
    return openDatabase({ ...world.config.database, ...settings });
  });
  beforeEach(() => void (sent.length = 0));

  async function start(input: Partial<StartRollupLinkInput> = {}): Promise<StartPayload> {
    const whole = { redirectUri: REDIRECT_URI, scopes: ['openid', 'email'], ...input };
    return (await world.ask(StartRollupLinkDocument, { input: whole })).data.startRollupLink;
  }
  const parametersOf = (begun: StartPayload): Record<string, string> =>
    Object.fromEntries(new URL(begun.authorizationUrl ?? '').searchParams);
  const pendingLinks = async (em = world.em()): Promise<Record<string, unknown>[]> =>
    em.execute('select * from pending_link');

  /** The PKCE verifier, which the server sends only with the code. */
  async function verifierOf(begun: StartPayload): Promise<string> {
    await world.finish(begun, `${REDIRECT_URI}?code=any&state=${begun.state}`);
    const body = sent.findLast((one) => one instanceof URLSearchParams);
    return body?.get('code_verifier') ?? '';
  }

  test('returns the authorization URL, and when the link expires', async () => {
    const earliest = world.clock.now() + TTL_MS;
    const begun = await start();
    const expiresAt = Date.parse(begun.expiresAt ?? '');
    expect(begun.userErrors).toEqual([]);
    expect(begun.authorizationUrl).toMatch(`${world.rollup.url}/authorize?`);
    expect(begun.state).toBe(parametersOf(begun)['state']);
    expect(begun.linkToken).toMatch(SECRET);
    expect(begun.authorizationUrl).not.toContain(begun.linkToken);
    expect(expiresAt).toBeGreaterThanOrEqual(earliest);
    expect(expiresAt).toBeLessThanOrEqual(world.clock.now() + TTL_MS);
  });

  test('LNK-01 sends exactly the parameters of the code flow with PKCE, and each requested scope once', async () => {
    const begun = await start({ scopes: ['email', 'openid', 'email'] });
    expect(parametersOf(begun)).toEqual({
      response_type: 'code',
      client_id: world.rollup.clientId,
      redirect_uri: REDIRECT_URI,
      scope: 'email openid',
      state: begun.state,
      nonce: expect.stringMatching(SECRET),
      code_challenge: expect.stringMatching(SECRET),
      code_challenge_method: 'S256',
    });
  });

  test('LNK-01 exchanges the code with the verifier of the challenge and the same redirect URI', async () => {
    const begun = await start();
    const verifier = await verifierOf(begun);
    expect(verifier).toMatch(SECRET);
    expect(sha256(verifier).toString('base64url')).toBe(parametersOf(begun)['code_challenge']);
    const body = sent.find((one) => one instanceof URLSearchParams);
    expect(Object.fromEntries(body ?? [])).toMatchObject({ redirect_uri: REDIRECT_URI, code: 'any' });
  });

  test('LNK-01 state, nonce, challenge and link token have 256 bits each and are unique', async () => {
    const secrets: (string | null | undefined)[] = [];
    for (let count = 0; count < 50; count += 1) {
      const begun = await start();
      const { nonce, code_challenge: challenge } = parametersOf(begun);
      secrets.push(begun.state, begun.linkToken, nonce, challenge);
    }
    expect(secrets.filter((one) => !SECRET.test(one ?? ''))).toEqual([]);
    expect(new Set(secrets).size).toBe(200);
  });

  test('LNK-01 requests the consent page only with forceConsent', async () => {
    expect(parametersOf(await start({ forceConsent: true }))['prompt']).toBe('consent');
    expect(parametersOf(await start({ forceConsent: false }))).not.toHaveProperty('prompt');
  });

  test.each([
    ['another host', 'https://evil.example/callback'],
    ['a subdomain', `https://${HOST}.evil.example/callback`],
    ['a path traversal', `https://${HOST}/other/../callback`],
    ['an @', `https://${HOST}@evil.example/callback`],
    ['a backslash', `https:\\\\${HOST}\\callback`],
    ['no scheme', `//${HOST}/callback`],
    ['a user', `https://user:password@${HOST}/callback`],
    ['a fragment', `${REDIRECT_URI}#fragment`],
    ['a port', `https://${HOST}:443/callback`],
    ['a script', `javascript:location="${REDIRECT_URI}"`],
    ['another case', `HTTPS://${HOST.toUpperCase()}/callback`],
    ['an international name', `https://ａpp.example.com/callback`],
  ])('LNK-24 rejects a redirect URI with %s, and stores and sends nothing', async (_what, redirectUri) => {
    const begun = await start({ redirectUri });
    expect(begun).toMatchObject({ authorizationUrl: null, state: null, linkToken: null, expiresAt: null });
    expect(begun.userErrors).toMatchObject([{ code: 'REDIRECT_URI_NOT_ALLOWED', field: 'redirectUri' }]);
    expect(await pendingLinks()).toEqual([]);
    expect(sent).toEqual([]);
  });

  test.each([[[]], [['openid', 'admin']], [['openid email']], [['openid', '']], [['OpenID']]])(
    'LNK-24 rejects the scopes %j',
    async (scopes) => {
      const begun = await start({ scopes });
      expect(begun).toMatchObject({ authorizationUrl: null, linkToken: null });
      expect(begun.userErrors).toMatchObject([{ code: 'SCOPE_NOT_ALLOWED', field: 'scopes' }]);
      expect(await pendingLinks()).toEqual([]);
      expect(sent).toEqual([]);
    },
  );

  test('LNK-01 stores state, nonce and link token only as hashes, and the verifier not at all', async () => {
    const begun = await start();
    const rows = await pendingLinks();
    const { state = '', nonce = '' } = parametersOf(begun);
    const secrets = [state, nonce, await verifierOf(begun), begun.linkToken ?? ''];
    expect(rows).toHaveLength(1);
    expect(Object.values(rows[0] ?? {})).toContain(sha256(state).toString('hex'));
    const stored = [JSON.stringify(rows), ...world.logLines, ...world.statements].join('\n');
    for (const secret of secrets) {
      expect(secret).toMatch(SECRET);
      expect(stored).not.toContain(secret);
      expect(stored).not.toContain(Buffer.from(secret, 'base64url').toString('hex'));
    }
  });

  test('LNK-26 a server that starts without the provider returns an error, recovers, and trusts no wrong response', async () => {
    let respond = (): Response => Response.error();
    const app = await serve(() => respond()).starting;
    const input = { redirectUri: REDIRECT_URI, scopes: ['openid'] };
    const ask = async () => createGraphqlClient(app.url)(StartRollupLinkDocument, { input });
    try {
      respond = () => new Response('<html>', { status: 502 });
      const { userErrors } = (await ask()).data.startRollupLink;
      expect(userErrors).toMatchObject([{ code: 'PROVIDER_UNAVAILABLE', field: null }]);
      respond = () => Response.json({ ...METADATA, issuer: 'https://evil.example' });
      expect((await ask()).errors).toMatchObject([{ extensions: { code: 'PROVIDER_MISCONFIGURED' } }]);
      expect(await pendingLinks(spare.em.fork())).toEqual([]);
      respond = () => Response.json(METADATA);
      expect((await ask()).data.startRollupLink.userErrors).toEqual([]);
    } finally {
      await app.close();
    }
  });

  test.each([
    ['another issuer', { issuer: `${ISSUER}/` }],
    ['a token endpoint without TLS', { token_endpoint: 'http://passport.example/token' }],
    ['a token endpoint on another origin', { token_endpoint: 'https://evil.example/token' }],
    ['keys on another origin', { jwks_uri: `${ISSUER}.evil.example/jwks.json` }],
  ])('LNK-26 does not start when discovery returns %s', async (_what, edit) => {
    const { events, logLines, starting } = serve(() => Response.json({ ...METADATA, ...edit }));
    const error: unknown = await starting.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ProviderMisconfiguredError);
    expect(events).toEqual([`${ISSUER}/.well-known/openid-configuration`, 'close']);
    const disclosed = [String(error), ...logLines].join('\n');
    expect(disclosed).not.toMatch(new RegExp(`evil|${world.rollup.clientId}|${world.rollup.clientSecret}`));
  });

  test('LNK-26 starts when discovery is valid, even if the keys cannot be fetched', async () => {
    const { events, starting } = serve((url) =>
      url.endsWith('/jwks.json') ? Response.error() : Response.json(METADATA),
    );
    await (await starting).close();
    expect(events).toContain(`${ISSUER}/jwks.json`);
  });

  /** Starts a second server, with this function as its provider, on a database that outlives it. */
  function serve(respond: (url: string) => Response) {
    const events: string[] = [];
    const logLines: string[] = [];
    const config = { ...world.config, rollup: { ...world.config.rollup, issuer: ISSUER } };
    const starting = createApp(config, {
      log: createLog('trace', [], { write: (line) => void logLines.push(line) }),
      openDatabase: async () => ({ ...spare, close: async () => void events.push('close') }),
      fetch: async (url) => {
        events.push(url);
        return respond(url);
      },
    });
    return { events, logLines, starting };
  }
});
