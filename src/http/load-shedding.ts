import type { FastifyInstance, FastifyRequest } from 'fastify';
import { OverloadedError } from '../errors.js';

/**
 * Closes the connection of a client that has not received its whole response within `timeoutMs` milliseconds from
 * the first byte of its request.
 */
export function addResponseTimeout(listener: FastifyInstance, timeoutMs: number): void {
  listener.addHook('onRequest', (request, reply, done) => {
    // The socket: destroying a request that was read to its end leaves its connection open.
    const timer = setTimeout(() => request.raw.socket.destroy(), timeoutMs).unref();
    reply.raw.once('close', () => clearTimeout(timer));
    done();
  });
}

/**
 * Throws `OverloadedError` while `maxConcurrentRequests` are executing; never the probes of an orchestrator.
 *
 * A request counts once its body is complete, so that slow bodies occupy only their connection. Checked before the
 * bearer is verified as well, which costs more than a rejection.
 */
export function addLoadShedding(listener: FastifyInstance, maxConcurrentRequests: number): void {
  let executing = 0;
  const shed = ({ url }: FastifyRequest): void => {
    if (executing >= maxConcurrentRequests && !PROBE.test(url)) throw new OverloadedError();
  };
  listener.addHook('onRequest', (request, _reply, done) => {
    shed(request);
    done();
  });
  listener.addHook('preHandler', (request, reply, done) => {
    // A client that disconnected while its bearer was verified: `close` has fired already, so it must not count.
    if (reply.raw.closed) {
      reply.hijack();
      return;
    }
    shed(request);
    executing += 1;
    // Fires once for every request, completed or aborted.
    reply.raw.once('close', () => (executing -= 1));
    done();
  });
}

const PROBE = /^\/(healthz|readyz)(\?|$)/;
