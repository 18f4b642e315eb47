import type { FastifyInstance } from 'fastify';

/** Headers of every response, including those of Node's parser and of pages. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-resource-policy': 'same-site',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'private, no-store',
};

const { 'content-security-policy': DEFAULT_POLICY, ...OTHER_HEADERS } = SECURITY_HEADERS;

/** Adds the security headers to every response; a route may set its own `Content-Security-Policy`. */
export function addSecurityHeaders(listener: FastifyInstance): void {
  listener.addHook('onSend', async (request, reply) => {
    void reply.headers(OTHER_HEADERS);
    if (!reply.hasHeader('content-security-policy')) {
      void reply.header('content-security-policy', DEFAULT_POLICY);
    }
    const vary = reply.getHeader('vary');
    void reply.header('vary', vary === undefined ? 'Authorization' : `${String(vary)}, Authorization`);
    if (request.protocol === 'https') void reply.header('strict-transport-security', 'max-age=31536000');
  });
}
