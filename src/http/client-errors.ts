import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyBaseLogger } from 'fastify';
import { BAD_REQUEST_MESSAGE } from './http-error.js';
import { REQUEST_ID, type RequestIdOf } from './request-id.js';
import { SECURITY_HEADERS } from './response-headers.js';
import { readTraceContext } from './trace-context.js';

/** Handlers of requests that are rejected before Fastify's hooks run. */
export interface ClientErrorHandlers {
  /** Malformed, too large or too slow: an error of Node's parser. */
  readonly onClientError: (error: Error & { readonly code?: string }, socket: Duplex) => void;
  /** A URL that cannot be decoded. */
  readonly onBadUrl: (request: IncomingMessage, response: ServerResponse) => void;
  /** Rejects `CONNECT` and `Expect`, for which Node sends no response, or one without the security headers. */
  readonly watch: (server: Server) => void;
}

const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

const BODY = JSON.stringify({
  errors: [{ message: BAD_REQUEST_MESSAGE, extensions: { code: 'BAD_REQUEST' } }],
});

type Headers = Readonly<Record<string, string>>;

const HEADERS: Headers = {
  ...SECURITY_HEADERS,
  'content-type': 'application/json; charset=utf-8',
  'content-length': String(Buffer.byteLength(BODY)),
  connection: 'close',
};

/** Creates the handlers. Each logs one record, sends a generic error and closes the connection. */
export function createClientErrorHandlers(
  log: FastifyBaseLogger,
  requestIdOf: RequestIdOf,
): ClientErrorHandlers {
  /** Returns the headers of the response. */
  const record = (status: number, reason: string, request?: IncomingMessage): Headers => {
    const reqId = requestIdOf(request);
    const trace = request && readTraceContext(request.headers);
    log.info({ event: 'request_refused', status, reason, reqId, ...trace }, 'request');
    return { ...HEADERS, [REQUEST_ID]: reqId };
  };
  const reject =
    (status: number, reason: string) =>
    (request: IncomingMessage, response: ServerResponse): void => {
      response.writeHead(status, record(status, reason, request)).end(BODY);
    };
  return {
    onClientError: ({ code = 'unknown' }, socket) => {
      // The client has disconnected before its request was complete: no response, no record.
      if (!socket.writable) {
        socket.destroy();
        return;
      }
      const status = STATUS_OF[code] ?? 400;
      endWith(socket, status, record(status, code));
    },
    onBadUrl: reject(400, 'url'),
    watch: (server) => {
      server.on('checkExpectation', reject(417, 'expect'));
      server.on('connect', (request: IncomingMessage, socket: Duplex) =>
        endWith(socket, 405, { ...record(405, 'connect', request), allow: 'GET, POST' }),
      );
    },
  };
}

/** Node passes a bare socket: handling its errors and closing it is up to us. */
function endWith(socket: Duplex, status: number, headers: Headers): void {
  socket.on('error', () => socket.destroy());
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines].join('\r\n');
  socket.end(`${head}\r\n\r\n${BODY}`, () => socket.destroy());
}
