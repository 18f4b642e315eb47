import { BlockList, isIPv6 } from 'node:net';
import type { FastifyInstance } from 'fastify';

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

/** Returns whether an address is in a list of addresses and CIDR blocks. */
function createAddressList(entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
    return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
  };
}
