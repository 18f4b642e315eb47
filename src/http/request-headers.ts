import type { FastifyInstance } from 'fastify';
import { HttpError } from './http-error.js';

const MAX_HEADERS = 100;

/** Rejects ambiguous or unsupported request headers that Node's parser accepts, before anything else reads them. */
export function addRequestHeaderChecks(listener: FastifyInstance): void {
  listener.addHook('onRequest', (request, reply, done) => {
    const { headers, rawHeaders } = request.raw;
    const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    if (names.length > MAX_HEADERS) throw new HttpError(431);
    for (const name of ['host', 'content-type']) {
      if (names.indexOf(name) === names.lastIndexOf(name)) continue;
      // Request smuggling: the next request on this connection may be part of this one.
      void reply.header('connection', 'close');
      throw new HttpError(400);
    }
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') throw new HttpError(415);
    const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(headers['content-type'] ?? '')?.[1];
    if (charset !== undefined && !/^utf-?8$/i.test(charset)) throw new HttpError(415);
    done();
  });
}
