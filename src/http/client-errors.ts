import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyBaseLogger } from 'fastify';
import { BAD_REQUEST_MESSAGE } from './http-error.js';
import { SECURITY_HEADERS } from './response-headers.js';

/** What is refused before there is a request that hooks could see. */
export interface ClientErrorHandlers {
  /** For what is no HTTP, too large, or too slow: Node's parser gave up. */
  onClientError(error: Error & { readonly code?: string }, socket: Duplex): void;
  /** For a URL that cannot be decoded. */
  onBadUrl(response: ServerResponse): void;
  /** Refuses tunnels and expectations, whose answer Node leaves to us or gives without our headers. */
  watch(server: Server): void;
}

const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

const BODY = JSON.stringify({
  errors: [{ message: BAD_REQUEST_MESSAGE, extensions: { code: 'BAD_REQUEST' } }],
});

const HEADERS = {
  ...SECURITY_HEADERS,
  'content-type': 'application/json; charset=utf-8',
  'content-length': String(Buffer.byteLength(BODY)),
  connection: 'close',
};

/** Makes the clientErrors. Each is one record of the log, ends its connection, and says no more than any other refusal. */
export function createClientErrorHandlers(log: FastifyBaseLogger): ClientErrorHandlers {
  const record = (status: number, reason: string): void =>
    log.info({ event: 'request_refused', status, reason }, 'request');
  const refuse = (response: ServerResponse, status: number, reason: string): void => {
    record(status, reason);
    response.writeHead(status, HEADERS).end(BODY);
  };
  return {
    onClientError: ({ code = 'unknown' }, socket) => {
      // Whoever hung up is told nothing, and nothing was asked.
      if (!socket.writable) return void socket.destroy();
      const status = STATUS_OF[code] ?? 400;
      record(status, code);
      endWith(socket, status, HEADERS);
    },
    onBadUrl: (response) => refuse(response, 400, 'url'),
    watch: (server) => {
      server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) =>
        refuse(response, 417, 'expect'),
      );
      server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
        record(405, 'connect');
        endWith(socket, 405, { ...HEADERS, allow: 'GET, POST' });
      });
    },
  };
}

/** Node hands over a bare socket: nobody else listens for its errors, and nobody else closes it. */
function endWith(socket: Duplex, status: number, headers: Readonly<Record<string, string>>): void {
  socket.on('error', () => socket.destroy());
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines].join('\r\n');
  socket.end(`${head}\r\n\r\n${BODY}`, () => socket.destroy());
}
