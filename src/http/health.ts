import type { FastifyInstance } from 'fastify';
import { SingleFlight } from '../single-flight.js';

/**
 * `/healthz`: 200 while the process lives. `/readyz`: 200 when requests can be served, else 503; checked again for
 * each request, concurrent ones in a single flight. The bodies contain no version, host or cause.
 */
export function addHealthRoutes(listener: FastifyInstance, isReady: () => Promise<boolean>): void {
  const checks = new SingleFlight<boolean>();
  listener.get('/healthz', async () => ({ status: 'ok' }));
  listener.get('/readyz', async (_request, reply) => {
    const ready = await checks.run('ready', isReady);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
  });
}
