import { request as httpRequest } from 'node:http';
import { MeDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

interface Sent {
  readonly method?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

const JSON_TYPE = { 'content-type': 'application/json', accept: 'application/graphql-response+json' };
const PREFLIGHT = { 'apollo-require-preflight': 'true' };
const ME = JSON.stringify({ query: '{ me { id } }' });

describe('GraphQL over HTTP', () => {
  const world = useWorld();
  let token: string;
  beforeEach(async () => ({ token } = await world.linkPerson()));

  describe('requests that are rejected without execution', () => {
    test.each<[string, number[], Sent]>([
      ['GQL-13 a batch', [400], { headers: JSON_TYPE, body: `[${ME},${ME}]` }],
      ['GQL-13 a batch of one', [400], { headers: JSON_TYPE, body: `[${ME}]` }],
      [
        'GQL-15 a subscription',
        [400],
        { headers: JSON_TYPE, body: '{"query":"subscription { me { id } }"}' },
      ],
      ['GQL-15 @defer', [400], { headers: JSON_TYPE, body: '{"query":"{ ... @defer { me { id } } }"}' }],
      ['GQL-20 a POST of text/plain', [400, 415], { headers: { 'content-type': 'text/plain' }, body: ME }],
      ['GQL-20 a POST of a form', [415], { headers: type('application/x-www-form-urlencoded'), body: ME }],
      ['GQL-20 a POST of multipart/form-data', [415], multipart(ME)],
      ['GQL-20 a POST without type', [400, 415], { body: new TextEncoder().encode(ME) }],
      ['GQL-20 a bare GET', [400], { method: 'GET', query: '{ me { id } }' }],
      [
        'GQL-20 a GET with the type text/plain',
        [400, 415],
        { method: 'GET', query: '{ me { id } }', headers: type('text/plain') },
      ],
      [
        'GQL-22 the charset utf-7',
        [400, 415],
        { headers: type('application/json; charset=utf-7'), body: ME },
      ],
      [
        'GQL-22 the charset utf-16',
        [400, 415],
        {
          headers: type('application/json; charset=utf-16le'),
          body: new Uint8Array(Buffer.from(ME, 'utf16le')),
        },
      ],
      [
        'GQL-22 utf-8 declared as utf-16',
        [400, 415],
        { headers: type('application/json; charset=utf-16'), body: ME },
      ],
      ['GQL-22 application/graphql', [415], { headers: type('application/graphql'), body: '{ me { id } }' }],
      ['GQL-23 a multipart upload of 1 kB', [415], multipart(`${ME}${' '.repeat(1_000)}`)],
      ['GQL-28 a GET by a browser', [400, 406], { method: 'GET', headers: { accept: 'text/html' } }],
    ])('%s', async (_title, statuses, sent) => {
      const before = world.statements.length;
      const { status, type, body } = await send(sent);
      expect(statuses).toContain(status);
      expect(type).toMatch(/^application\/(graphql-response\+)?json/);
      expect(body.data).toBeUndefined();
      expect(body.errors?.length).toBe(1);
      expect(world.statements).toHaveLength(before);
    });

    test.each(['multipart/mixed', 'text/html', 'application/xml', 'application/json;q=0, text/html'])(
      'GQL-15 a response as %s',
      async (accept) => {
        const before = world.statements.length;
        const { status, body } = await send({ headers: { ...JSON_TYPE, accept }, body: ME });
        expect({ status, data: body.data }).toEqual({ status: 406, data: undefined });
        expect(world.statements).toHaveLength(before);
      },
    );

    test.each([
      ['GET', 'mutation { startRollupLink(input: { redirectUri: "a", scopes: ["openid"] }) { state } }'],
      ['HEAD', 'mutation { startRollupLink(input: { redirectUri: "a", scopes: ["openid"] }) { state } }'],
      ['HEAD', '{ me { id } }'],
    ])('GQL-21 %s %s', async (method, query) => {
      const before = world.statements.length;
      const { status, allow } = await send({ method, query, headers: PREFLIGHT });
      expect(status).toBe(405);
      expect(allow).toContain('POST');
      expect(world.statements).toHaveLength(before);
    });

    test('GQL-22 two content types', async () => {
      const one = ['Content-Length', String(ME.length), 'Content-Type', 'application/json'];
      expect(await sendRaw(one, ME)).toBe(200);
      expect(await sendRaw([...one, 'Content-Type', 'text/plain'], ME)).toBe(400);
      expect(await sendRaw([...one, 'Content-Type', 'application/json'], ME)).toBe(400);
    });

    test('GQL-23 a multipart upload of 100 MB is rejected before its body arrives', async () => {
      const headers = ['Content-Type', 'multipart/form-data; boundary=x', 'Content-Length', '100000000'];
      expect(await sendRaw(headers, '--x\r\n')).toBe(415);
    });
  });

  describe('GQL-24 automatic persisted queries are off', () => {
    const HASH = 'ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38';

    test.each([
      ['a probe', { extensions: persisted(HASH) }],
      ['a correct hash', { query: '{__typename}', extensions: persisted(HASH) }],
      ['a wrong hash', { query: '{ me { id } }', extensions: persisted(HASH) }],
    ])('%s', async (_title, payload) => {
      const { body } = await send({ headers: JSON_TYPE, body: JSON.stringify(payload) });
      expect(body.data).toBeUndefined();
      expect(body.errors?.map(({ extensions }) => extensions['code'])).toEqual([
        'PERSISTED_QUERY_NOT_SUPPORTED',
      ]);
    });

    test('of many registrations none is stored', async () => {
      const responses = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          send({ headers: JSON_TYPE, body: JSON.stringify(register(`{ a${index}: __typename }`)) }),
        ),
      );
      const codes = responses.map(({ body }) => body.errors?.[0]?.extensions['code']);
      expect(new Set(codes)).toEqual(new Set(['PERSISTED_QUERY_NOT_SUPPORTED']));
    });

    function register(query: string): unknown {
      return {
        query,
        extensions: persisted(HASH.replace(/^.{8}/, query.length.toString(16).padStart(8, '0'))),
      };
    }

    function persisted(sha256Hash: string): unknown {
      return { persistedQuery: { version: 1, sha256Hash } };
    }
  });

  describe('GQL-25 variables', () => {
    const RENEW =
      'mutation ($input: RenewAccessTokenInput!) { renewAccessToken(input: $input) { accessToken } }';
    const START = 'mutation ($input: StartRollupLinkInput!) { startRollupLink(input: $input) { state } }';

    test.each([
      ['__proto__', RENEW, '{"input":{"__proto__":{"polluted":true}}}'],
      ['__proto__ beside the input', RENEW, '{"input":{},"__proto__":{"polluted":true}}'],
      ['constructor.prototype', RENEW, '{"input":{"constructor":{"prototype":{"polluted":true}}}}'],
      ['10^400', RENEW, '{"input":{"minTtlSeconds":1e400}}'],
      ['10 000 wrong values', START, `{"input":{"redirectUri":"a","scopes":[${'1,'.repeat(9_999)}1]}}`],
    ])('%s', async (_title, query, variables) => {
      const before = world.statements.length;
      const sent = `{"query":${JSON.stringify(query)},"variables":${variables}}`;
      const { status, body, text } = await send({ headers: JSON_TYPE, body: sent });
      expect({ status, data: body.data }).toEqual({ status: 400, data: undefined });
      expect(body.errors?.length).toBeLessThanOrEqual(10);
      expect(text.length).toBeLessThanOrEqual(10_000);
      expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
      expect(world.statements).toHaveLength(before);
    });
  });

  describe('GQL-26 in every argument', () => {
    const SQL = `'; drop table app_user; -- " \\ $1 ? %00`;
    const OPERATOR = { $ne: null, $like: '%' };
    const NOTHING = { redirectUri: 'a', scopes: ['openid'] };
    const TOKENS = { accessToken: 'a', idToken: 'a', refreshToken: 'a' };
    const CALLBACK = { url: 'https://a.example/', linkToken: 'a' };

    const places: [string, string, (value: unknown) => unknown][] = [
      ['redirectUri', 'startRollupLink', (redirectUri) => ({ ...NOTHING, redirectUri })],
      ['scopes', 'startRollupLink', (scope) => ({ ...NOTHING, redirectUri: redirect(), scopes: [scope] })],
      ['url', 'linkRollupAccount', (url) => ({ callback: { ...CALLBACK, url } })],
      ['linkToken', 'linkRollupAccount', (linkToken) => ({ callback: { ...CALLBACK, linkToken } })],
      ['accessToken', 'linkRollupAccount', (accessToken) => ({ tokens: { ...TOKENS, accessToken } })],
      ['idToken', 'linkRollupAccount', (idToken) => ({ tokens: { ...TOKENS, idToken } })],
      ['refreshToken', 'linkRollupAccount', (refreshToken) => ({ tokens: { ...TOKENS, refreshToken } })],
      ['accountId', 'renewAccessToken', (accountId) => ({ accountId })],
      ['accountId', 'unlinkRollupAccount', (accountId) => ({ accountId })],
    ];

    test.each(places)('SQL in %s of %s is only a value', async (_argument, mutation, place) => {
      const plain = await run(mutation, place('nothing-of-the-kind'));
      const hostile = await run(mutation, place(SQL));
      expect(hostile.body).toEqual(plain.body);
      expect(hostile.body.data?.[mutation]).toMatchObject({
        userErrors: [{ code: expect.any(String) as string }],
      });
      expect((await world.ask(MeDocument, {}, { token })).data.me?.name).toBe(world.people[0].name);
    });

    const objects: typeof places = [
      ...places,
      ['forceConsent', 'startRollupLink', (forceConsent) => ({ ...NOTHING, forceConsent })],
      ['minTtlSeconds', 'renewAccessToken', (minTtlSeconds) => ({ minTtlSeconds })],
    ];

    test.each(objects)('an object for %s of %s is rejected', async (_argument, mutation, place) => {
      const before = world.statements.length;
      const { status, body } = await run(mutation, place(OPERATOR));
      expect({ status, data: body.data }).toEqual({ status: 400, data: undefined });
      expect(body.errors?.map(({ extensions }) => extensions['code'])).toContain('BAD_USER_INPUT');
      expect(world.statements).toHaveLength(before);
    });

    function run(mutation: string, input: unknown): ReturnType<typeof send> {
      const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Input`;
      const query = `mutation ($input: ${type}!) { ${mutation}(input: $input) { userErrors { code field message } } }`;
      return send({ headers: JSON_TYPE, body: JSON.stringify({ query, variables: { input } }) });
    }

    function redirect(): string {
      return world.config.rollup.redirectUris[0] ?? '';
    }
  });

  test.each(['/graphql', '/graphiql', '/'])('GQL-28 a browser gets no page at %s', async (path) => {
    const response = await fetch(`${world.app.url}${path}`, { headers: { accept: 'text/html' } });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  });

  test('GQL-28 a response contains no trace, even when headers request one', async () => {
    const headers = { ...JSON_TYPE, 'apollo-federation-include-trace': 'ftv1', 'x-apollo-tracing': '1' };
    const { body } = await send({ headers, body: ME });
    expect(Object.keys(body)).toEqual(['data']);
  });

  interface Body {
    readonly data?: Readonly<Record<string, unknown>>;
    readonly errors?: readonly { readonly extensions: Readonly<Record<string, unknown>> }[];
  }

  /** Sends with the bearer of a linked person; POST by default. */
  async function send({ method = 'POST', query, headers = {}, body }: Sent) {
    const search = query === undefined ? '' : `?query=${encodeURIComponent(query)}`;
    const response = await fetch(`${world.app.url}/graphql${search}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(body !== undefined && { body }),
    });
    const text = await response.text();
    const { headers: received, status } = response;
    const parsed = JSON.parse(text === '' ? '{}' : text) as Body;
    return { status, type: received.get('content-type'), allow: received.get('allow'), body: parsed, text };
  }

  /** Sends raw headers and the start of a body; resolves with the status before the rest of the body is sent. */
  function sendRaw(headers: readonly string[], start: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const url = new URL(`${world.app.url}/graphql`);
      const request = httpRequest(url, { method: 'POST', headers: ['Host', url.host, ...headers] });
      request.once('error', reject);
      request.once('response', (response) => {
        request.off('error', reject).on('error', () => undefined);
        resolve(response.statusCode);
        request.destroy();
      });
      request.write(start);
    });
  }

  function type(contentType: string): Record<string, string> {
    return { 'content-type': contentType };
  }

  function multipart(content: string): Sent {
    const body = `--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n${content}\r\n--x--\r\n`;
    return { headers: type('multipart/form-data; boundary=x'), body };
  }
});
