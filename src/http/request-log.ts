import type { FastifyInstance } from 'fastify';

/** Runs the rest of a request so that everything logged for it carries its id. */
export type RunInScope = (reqId: string, run: () => void) => void;

/** One line for each request: what, how it ended, and how long it took; never a query string or a header. */
export function addRequestLog(listener: FastifyInstance, runInScope: RunInScope): void {
  // Callback style on purpose: what is started from here on belongs to the scope.
  listener.addHook('onRequest', (request, _reply, done) => runInScope(request.id, done));
  listener.addHook('onResponse', async (request, reply) => {
    const { method } = request;
    const ms = Math.round(reply.elapsedTime);
    request.log.info({ method, path: request.url.split('?', 1)[0], status: reply.statusCode, ms }, 'request');
  });
}
