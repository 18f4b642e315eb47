import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CachingProxy, startCachingProxy } from '../kit/caching-proxy.js';
import { startWorld, type World } from '../kit/world.js';

const QUERY = '{ me { rollupAccounts { sub } } }';

describe('through a cache that everybody shares', () => {
  let world: World;
  let proxy: CachingProxy;
  let callers: { readonly sub: string; readonly token: string }[];
  beforeAll(async () => {
    world = await startWorld();
    proxy = await startCachingProxy(world.app.url);
    const people = world.rollup.people.slice(0, 2);
    callers = await Promise.all(
      people.map(async (person) => ({
        sub: person.sub,
        token: (await world.link(person)).accessToken ?? '',
      })),
    );
  });
  afterAll(async () => {
    await proxy.close();
    await world.close();
  });

  test.each(['GET', 'POST', 'GET with If-None-Match'])(
    'PRV-04 %s: everybody gets their own answer, again and again, and nothing is kept',
    async (method) => {
      for (const { sub, token } of [...callers, ...callers.toReversed(), ...callers]) {
        const answer = await ask(method, token);
        expect(answer.status).toBe(200);
        expect(await answer.text()).toBe(
          JSON.stringify({ data: { me: { rollupAccounts: [{ sub }] } } }) + '\n',
        );
        expect(answer.headers.get('cache-control')).toBe('private, no-store');
        expect(answer.headers.get('vary')?.split(/, */)).toContain('Authorization');
        expect([answer.headers.get('etag'), answer.headers.get('last-modified')]).toEqual([null, null]);
      }
      expect([proxy.stored(), proxy.hits()]).toEqual([0, 0]);
    },
  );

  test('PRV-04 which does keep what it may', async () => {
    const server = createServer((_request, response) =>
      response.writeHead(200, { 'cache-control': 'public, max-age=60' }).end(String(Math.random())),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const open = await startCachingProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const [first, second] = [await fetch(open.url), await fetch(open.url)];
    expect(await second.text()).toBe(await first.text());
    expect([open.stored(), open.hits()]).toEqual([1, 1]);
    await open.close();
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
    if (method === 'POST')
      return fetch(`${proxy.url}/graphql`, { method, headers, body: JSON.stringify({ query: QUERY }) });
    return fetch(`${proxy.url}/graphql?query=${encodeURIComponent(QUERY)}`, { headers });
  }
});
