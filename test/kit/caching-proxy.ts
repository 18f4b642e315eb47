import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import CachePolicy from 'http-cache-semantics';

/** A cache that many clients share, as a company or a content network has one. */
export interface CachingProxy {
  readonly url: string;
  /** Answers kept so far, and those given from them. */
  readonly stored: () => number;
  readonly hits: () => number;
  close(): Promise<void>;
}

interface Entry {
  readonly policy: CachePolicy;
  readonly status: number;
  readonly body: string;
}

type HeaderFields = Record<string, string>;

/** Starts a cache before `upstream` that keeps all that HTTP lets a shared cache keep (RFC 9111), POST included. */
export async function startCachingProxy(upstream: string): Promise<CachingProxy> {
  const entries = new Map<string, Entry>();
  let hits = 0;
  const server = createServer(async (request, response) => {
    const { method = 'GET', url = '/' } = request;
    const headers = fieldsOf(request);
    const sent = await text(request);
    const key = `${method} ${url} ${sent}`;
    // Judged as a GET whatever the method: a cache may go that far only where the answer allows it.
    const asked = { method: 'GET', url, headers };
    const known = entries.get(key);
    if (known?.policy.satisfiesWithoutRevalidation(asked)) {
      hits += 1;
      response.writeHead(known.status, known.policy.responseHeaders()).end(known.body);
      return;
    }
    const { host: _host, connection: _connection, 'content-length': _length, ...forwarded } = headers;
    const answer = await fetch(`${upstream}${url}`, {
      method,
      headers: forwarded,
      body: method === 'POST' ? sent : null,
    });
    const body = await answer.text();
    const {
      'content-encoding': _coding,
      'transfer-encoding': _transfer,
      ...answered
    } = Object.fromEntries(answer.headers);
    const policy = new CachePolicy(asked, { status: answer.status, headers: answered }, { shared: true });
    if (policy.storable() && policy.timeToLive() > 0)
      entries.set(key, { policy, status: answer.status, body });
    response.writeHead(answer.status, { ...answered, 'content-length': Buffer.byteLength(body) }).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stored: () => entries.size,
    hits: () => hits,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function fieldsOf({ headers }: IncomingMessage): HeaderFields {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
