import type { FastifyInstance } from 'fastify';
import { createAddressList } from './address-list.js';

/**
 * `/metrics`: counters and gauges in the Prometheus text format, 404 for every address that is not listed. They
 * carry no identity and no secret.
 */
export function addMetricsRoute(
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
