import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';

/** A response as it came over the wire. */
export interface RawResponse {
  readonly status: number;
  /** The status line and the headers. */
  readonly head: string;
  readonly body: string;
}

/** Connects to a server, so that a test can write requests that no client library sends. */
export async function connectRaw(url: string) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let pending = '';
  let ended = false;
  let wake = (): void => {};
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    pending += chunk;
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    ended = true;
    wake();
  });
  const take = (): RawResponse | undefined => {
    const end = pending.indexOf('\r\n\r\n');
    const head = pending.slice(0, end);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    if (end < 0 || pending.length < end + 4 + length) return undefined;
    const body = Buffer.from(pending.slice(end + 4, end + 4 + length), 'latin1').toString();
    pending = pending.slice(end + 4 + length);
    return { status: Number(head.split(' ')[1]), head, body };
  };
  return {
    /** Pipelines the requests and reads as many responses; fewer when the server closes the connection. */
    send: async (requests: readonly string[]): Promise<RawResponse[]> => {
      const responses: RawResponse[] = [];
      socket.write(requests.join(''));
      while (responses.length < requests.length) {
        const response = take();
        if (response) responses.push(response);
        else if (ended) break;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
      return responses;
    },
    close: () => void socket.destroy(),
  };
}

/** A GraphQL request over HTTP/1.1, with these raw header lines. */
export function rawRequest(query: string, lines: readonly string[], path = '/graphql'): string {
  const body = JSON.stringify({ query });
  const head = [`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Type: application/json', ...lines];
  return `${head.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Lets a server listen on 127.0.0.1, on a free port by default; resolves with the port. */
export async function listen(server: Server, at = 0): Promise<number> {
  server.listen(at, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port of 127.0.0.1 that was free a moment ago; another process may take it. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}
