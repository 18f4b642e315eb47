import type { FastifyInstance } from 'fastify';

/** Fields of every line logged for one request: its id, and the caller once verified. */
interface LogScope {
  readonly reqId: string;
}

/** Calls a function so that everything it logs, now or later, carries the scope. */
export type RunInScope = (scope: LogScope, run: () => void) => void;

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first `onRequest` hook. */
    logScope: LogScope;
  }
}

/** Characters of a path in the log. */
const MAX_PATH = 256;

/** Logs one line for each request: method, path, status and duration; never a query string or a header. */
export function addRequestLog(listener: FastifyInstance, runInScope: RunInScope): void {
  listener.decorateRequest('logScope');
  // With a callback: everything that `done` starts runs in the scope.
  listener.addHook('onRequest', (request, _reply, done) => {
    request.logScope = { reqId: request.id };
    runInScope(request.logScope, done);
  });
  listener.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const ms = Math.round(reply.elapsedTime);
    const path = request.url.split('?', 1)[0]?.slice(0, MAX_PATH);
    const line = { method, path, status: reply.statusCode, ms };
    runInScope(request.logScope, () => request.log.info(line, 'request'));
    done();
  });
}
