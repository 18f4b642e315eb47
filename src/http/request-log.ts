import type { FastifyInstance, FastifyRequest } from 'fastify';

/** What belongs to one request in the log: its id, and later who is calling. */
interface Scope {
  readonly reqId: string;
}

/** Runs something so that everything logged by it, now or later, says the scope. */
export type RunInScope = (scope: Scope, run: () => void) => void;

/** Characters of a path that tell what was asked for. */
const MAX_PATH = 256;

/** One line for each request: what, how it ended, and how long it took; never a query string or a header. */
export function addRequestLog(listener: FastifyInstance, runInScope: RunInScope): void {
  const scopes = new WeakMap<FastifyRequest, Scope>();
  const scopeOf = (request: FastifyRequest): Scope => scopes.get(request) ?? { reqId: request.id };
  // Callback style on purpose: what is started from here on belongs to the scope.
  listener.addHook('onRequest', (request, _reply, done) => {
    const scope = { reqId: request.id };
    scopes.set(request, scope);
    runInScope(scope, done);
  });
  listener.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const ms = Math.round(reply.elapsedTime);
    const path = request.url.split('?', 1)[0]?.slice(0, MAX_PATH);
    const line = { method, path, status: reply.statusCode, ms };
    runInScope(scopeOf(request), () => request.log.info(line, 'request'));
    done();
  });
}
