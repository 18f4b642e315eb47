import { useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { runProgram } from '../kit/processes.js';
import { startProcess } from '../kit/server.js';
import { createTestDatabase } from '../kit/test-database.js';
import { PRODUCTION } from '../kit/server-env.js';

const JSON_TYPE = { 'content-type': 'application/json', accept: 'application/json' };
const GUESSES = [
  '{ mee { id } }',
  '{ me { idd } }',
  '{ me(ids: 1) { id } }',
  '{ me @skipp { id } }',
  'query ($a: Userr) { me { id } }',
  'mutation { startRollupLink(input: { redirectUris: "x" }) { state } }',
];

test('HTP-24 production rejects the embedded database and every generated setting', async () => {
  const run = runProgram(['serve'], { NODE_ENV: 'production' });
  expect(await run.exited).toBe(1);
  const settings = ['DATABASE_URL', 'ROLLUP_ISSUER', 'ROLLUP_CLIENT_SECRET', 'TOKEN_KEYS', 'GALAXY_API_KEY'];
  for (const setting of settings) expect(run.output()).toContain(`${setting} is required`);
});

/** Production needs PostgreSQL; the provider may be unreachable at the start. */
onPostgres('a server in production', () => {
  const server = useStarted(async (closeToo) => {
    const database = closeToo(await createTestDatabase());
    const urls = { ROLLUP_ISSUER: 'https://127.0.0.1:1', GALAXY_URL: 'https://127.0.0.1:1/graphql' };
    return startProcess({ ...PRODUCTION, SHUTDOWN_DELAY_MS: '0', ...urls, ...database.env });
  });

  test.each(['/', '/graphiql', '/graphql'])('GQL-28 shows a browser no page at %s', async (path) => {
    const response = await fetch(`${server.url}${path}`, { headers: { accept: 'text/html' } });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(await response.text()).not.toContain('<html');
  });

  test.each([
    '{ __schema { types { name } } }',
    '{ __type(name: "User") { name } }',
    '{ x: __schema { types { name } } }',
    '{ ...Q } fragment Q on Query { __schema { types { name } } }',
  ])('GQL-16 rejects introspection: %s', async (query) => {
    const { text, codes } = await server.ask(query);
    expect(codes).toEqual(['GRAPHQL_VALIDATION_FAILED']);
    expect(text).not.toContain('RollupAccount');
  });

  test.each(GUESSES)('GQL-17 suggests no names for a guess: %s', async (query) => {
    const { text, errors } = await server.ask(query);
    expect(errors.length).toBeGreaterThan(0);
    expect(text).not.toMatch(/did you mean/i);
  });

  test('serves without its provider: alive, not ready, and 503 for requests that need the provider', async () => {
    expect((await server.ask('{ me { id } }')).data).toEqual({ me: null });
    const bearer = await server.ask('{ me { id } }', undefined, { token: 'eyJhIjoxfQ.eyJhIjoxfQ.c2ln' });
    expect([bearer.status, bearer.codes[0]]).toEqual([503, 'PROVIDER_UNAVAILABLE']);
    const probes = await Promise.all(['healthz', 'readyz'].map((path) => fetch(`${server.url}/${path}`)));
    expect(probes.map(({ status }) => status)).toEqual([200, 503]);
  });

  test('GQL-24 supports no automatic persisted queries', async () => {
    const persistedQuery = { version: 1, sha256Hash: 'a'.repeat(64) };
    const body = JSON.stringify({ extensions: { persistedQuery } });
    const response = await fetch(`${server.url}/graphql`, { method: 'POST', headers: JSON_TYPE, body });
    expect(await response.json()).toMatchObject({
      errors: [{ extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' } }],
    });
  });
});
