import type { FastifyInstance } from 'fastify';

/** Fields of every line logged for one request: its id, and the caller once verified. */
interface LogContext {
  readonly reqId: string;
}

/** Calls a function so that everything it logs, now or later, carries these fields. */
export type RunWithLogContext = (fields: LogContext, run: () => void) => void;

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first `onRequest` hook. */
    logContext: LogContext;
  }
}

/** Characters of a path in the log. */
const MAX_PATH = 256;

/** Logs one line for each request: method, path, status and duration; never a query string or a header. */
export function addRequestLog(listener: FastifyInstance, runWithLogContext: RunWithLogContext): void {
  listener.decorateRequest('logContext');
  // With a callback: everything that `done` starts runs in the log context.
  listener.addHook('onRequest', (request, _reply, done) => {
    request.logContext = { reqId: request.id };
    runWithLogContext(request.logContext, done);
  });
  listener.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const ms = Math.round(reply.elapsedTime);
    const path = request.url.split('?', 1)[0]?.slice(0, MAX_PATH);
    const line = { method, path, status: reply.statusCode, ms };
    runWithLogContext(request.logContext, () => request.log.info(line, 'request'));
    done();
  });
}
