import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import { text } from 'node:stream/consumers';
import CachePolicy from 'http-cache-semantics';
import { listen } from './network.js';

interface Entry {
  readonly policy: CachePolicy;
  readonly status: number;
  readonly body: string;
}

type HeaderFields = Record<string, string>;

/**
 * Starts a shared HTTP cache, such as a company proxy or a CDN, in front of `upstream`. It stores all that a shared
 * cache may store (RFC 9111), POST included.
 */
export async function startCachingProxy(upstream: string) {
  const entries = new Map<string, Entry>();
  let hits = 0;
  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    const headers = fieldsOf(request);
    const sent = await text(request);
    const key = `${method} ${url} ${sent}`;
    // Every method is treated as GET, which is the most that a cache may store when a response allows it.
    const cacheable = { method: 'GET', url, headers };
    const stored = entries.get(key);
    if (stored?.policy.satisfiesWithoutRevalidation(cacheable)) {
      hits += 1;
      response.writeHead(stored.status, stored.policy.responseHeaders()).end(stored.body);
      return;
    }
    const { status, body, headers: received } = await forward(`${upstream}${url}`, method, headers, sent);
    const policy = new CachePolicy(cacheable, { status, headers: received }, { shared: true });
    if (policy.storable() && policy.timeToLive() > 0) entries.set(key, { policy, status, body });
    response.writeHead(status, { ...received, 'content-length': Buffer.byteLength(body) }).end(body);
  }
  const server = createServer((request, response) => void respond(request, response));
  return {
    url: `http://127.0.0.1:${await listen(server)}`,
    /** Responses stored so far. */
    stored: () => entries.size,
    /** Cache hits. */
    hits: () => hits,
    close: async (): Promise<void> => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function forward(url: string, method: string, headers: HeaderFields, sent: string) {
  const { host: _host, connection: _connection, 'content-length': _length, ...forwarded } = headers;
  const body = method === 'POST' ? sent : null;
  const response = await fetch(url, { method, headers: forwarded, body });
  const {
    'content-encoding': _coding,
    'transfer-encoding': _transfer,
    ...received
  } = Object.fromEntries(response.headers);
  return { status: response.status, headers: received, body: await response.text() };
}

function fieldsOf({ headers }: IncomingMessage): HeaderFields {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
