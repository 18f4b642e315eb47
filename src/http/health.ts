import type { FastifyInstance } from 'fastify';
import { createAddressList } from './guards.js';

/**
 * `/healthz`: 200 while the process lives. `/readyz`: 200 when requests can be served, else 503; it asks anew
 * each time, so it recovers by itself, but once for all who ask at the same time. The bodies say nothing about
 * versions, hosts or causes.
 */
export function addHealth(listener: FastifyInstance, isReady: () => Promise<boolean>): void {
  let asking: Promise<boolean> | undefined;
  listener.get('/healthz', async () => ({ status: 'ok' }));
  listener.get('/readyz', async (_request, reply) => {
    asking ??= isReady().finally(() => (asking = undefined));
    const ready = await asking;
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
  });
}

/**
 * `/metrics`: counters and gauges in the Prometheus text format, for the addresses listed and for nobody else. They
 * carry no identity and no secret.
 */
export function addMetrics(
  listener: FastifyInstance,
  render: () => Promise<string>,
  allowed: readonly string[],
): void {
  const isAllowed = createAddressList(allowed);
  listener.get('/metrics', async (request, reply) => {
    if (!isAllowed(request.ip)) return reply.callNotFound();
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(await render());
  });
}
