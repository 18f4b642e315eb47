import { BlockList, isIPv6 } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Limits at the door, before anything is read or verified. */
export interface GuardOptions {
  readonly maxConcurrentRequests: number;
  /** Milliseconds from the first byte of a request to the last of its answer. */
  readonly responseTimeoutMs: number;
}

const MAX_HEADERS = 100;

/** A refusal at the door: an HTTP status and nothing to tell. */
export class HttpError extends Error {
  constructor(readonly statusCode: number) {
    super(`refused at the door with ${statusCode}`);
  }
}

/**
 * Refuses what is ambiguous or too much, sheds load with 503 while others are served, and ends answers that nobody
 * reads. Node's parser has refused malformed requests by now; it lets these through.
 *
 * A request counts as load once it is there whole: bodies that come slowly cost nothing but their connection. While
 * there is no room it is refused before its bearer is verified. The probes of an orchestrator are always answered.
 */
export function addGuards(
  listener: FastifyInstance,
  { maxConcurrentRequests, responseTimeoutMs }: GuardOptions,
): void {
  let executing = 0;
  const shed = ({ url }: FastifyRequest): void => {
    if (executing >= maxConcurrentRequests && !PROBE.test(url)) throw new HttpError(503);
  };
  listener.addHook('onRequest', async (request, reply) => {
    // Not the request: destroying one that was read to its end leaves its connection open.
    const slow = setTimeout(() => request.raw.socket.destroy(), responseTimeoutMs).unref();
    reply.raw.once('close', () => clearTimeout(slow));
    checkHeaders(request, reply);
    shed(request);
  });
  listener.addHook('preHandler', async (request, reply) => {
    // Whoever hung up while the bearer was verified gets no answer, and that fires no more.
    if (reply.raw.closed) return reply.hijack();
    shed(request);
    executing += 1;
    // Fires once for every request, answered or aborted.
    reply.raw.once('close', () => (executing -= 1));
  });
  listener.addHook('onSend', async (request, reply) => addSecurityHeaders(request, reply));
}

const PROBE = /^\/(healthz|readyz)(\?|$)/;

function checkHeaders({ raw }: FastifyRequest, reply: FastifyReply): void {
  const names = raw.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  if (names.length > MAX_HEADERS) throw new HttpError(431);
  for (const name of ['host', 'content-type']) {
    if (names.indexOf(name) === names.lastIndexOf(name)) continue;
    // Whoever sends one request that reads two ways may have sent the next one in it.
    void reply.header('connection', 'close');
    throw new HttpError(400);
  }
  const encoding = raw.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw new HttpError(415);
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(raw.headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) throw new HttpError(415);
}

/** What every answer carries, whoever gives it. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-resource-policy': 'same-site',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'private, no-store',
};

function addSecurityHeaders(request: FastifyRequest, reply: FastifyReply): void {
  const { 'content-security-policy': policy, ...others } = SECURITY_HEADERS;
  void reply.headers(others);
  if (!reply.hasHeader('content-security-policy')) void reply.header('content-security-policy', policy);
  const vary = reply.getHeader('vary');
  void reply.header('vary', vary === undefined ? 'Authorization' : `${String(vary)}, Authorization`);
  if (request.protocol === 'https') void reply.header('strict-transport-security', 'max-age=31536000');
}

/** Whether an address is in a list of addresses and CIDR blocks. */
export function createAddressList(entries: readonly string[]): (address: string) => boolean {
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
