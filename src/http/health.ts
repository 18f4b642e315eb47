import type { FastifyInstance } from 'fastify';

/**
 * `/healthz`: 200 while the process lives. `/readyz`: 200 when requests can be served, else 503; it asks anew
 * each time, so it recovers by itself, but once for all who ask at the same time. The bodies say nothing about
 * versions, hosts or causes.
 */
export function addHealthRoutes(listener: FastifyInstance, isReady: () => Promise<boolean>): void {
  let asking: Promise<boolean> | undefined;
  listener.get('/healthz', async () => ({ status: 'ok' }));
  listener.get('/readyz', async (_request, reply) => {
    asking ??= isReady().finally(() => (asking = undefined));
    const ready = await asking;
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
  });
}
