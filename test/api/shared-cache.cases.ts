import { createServer } from 'node:http';
import { startCachingProxy } from '../kit/caching-proxy.js';
import { useStarted, useWorld } from '../kit/hooks.js';
import { listen } from '../kit/network.js';

const QUERY = '{ me { rollupAccounts { sub } } }';

describe('through a shared cache', () => {
  const world = useWorld();
  const proxy = useStarted(() => startCachingProxy(world.app.url));
  let callers: { readonly sub: string; readonly token: string }[];
  beforeEach(async () => {
    const people = world.rollup.people.slice(0, 2);
    callers = await Promise.all(
      people.map(async (person) => ({
        sub: person.sub,
        token: (await world.linkPerson(person)).token,
      })),
    );
  });

  test.each(['GET', 'POST', 'GET with If-None-Match'])(
    'PRV-04 %s: every caller repeatedly gets their own response, and nothing is stored',
    async (method) => {
      for (const { sub, token } of [...callers, ...callers.toReversed(), ...callers]) {
        const response = await ask(method, token);
        expect(response.status).toBe(200);
        expect(await response.text()).toBe(
          JSON.stringify({ data: { me: { rollupAccounts: [{ sub }] } } }) + '\n',
        );
        expect(response.headers.get('cache-control')).toBe('private, no-store');
        expect(response.headers.get('vary')?.split(/, */)).toContain('Authorization');
        expect([response.headers.get('etag'), response.headers.get('last-modified')]).toEqual([null, null]);
      }
      expect([proxy.stored(), proxy.hits()]).toEqual([0, 0]);
    },
  );

  test('PRV-04 that stores cacheable responses of another server', async () => {
    const server = createServer((_request, response) =>
      response.writeHead(200, { 'cache-control': 'public, max-age=60' }).end(String(Math.random())),
    );
    const publicProxy = await startCachingProxy(`http://127.0.0.1:${await listen(server)}`);
    const [first, second] = [await fetch(publicProxy.url), await fetch(publicProxy.url)];
    expect(await second.text()).toBe(await first.text());
    expect([publicProxy.stored(), publicProxy.hits()]).toEqual([1, 1]);
    await publicProxy.close();
    server.closeAllConnections();
    server.close();
  });

  function ask(method: string, token: string): Promise<Response> {
    const headers = {
      authorization: `Bearer ${token}`,
      accept: 'application/graphql-response+json',
      'apollo-require-preflight': 'true',
      'content-type': 'application/json',
      ...(method.includes('If') && { 'if-none-match': '*' }),
    };
    if (method === 'POST') {
      return fetch(`${proxy.url}/graphql`, { method, headers, body: JSON.stringify({ query: QUERY }) });
    }
    return fetch(`${proxy.url}/graphql?query=${encodeURIComponent(QUERY)}`, { headers });
  }
});
