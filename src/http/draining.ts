import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/** The way out: readiness drops first, then running requests finish, then the listener closes. */
export interface Draining {
  readonly isDraining: () => boolean;
  /**
   * Tells clients and load balancers to go elsewhere, for `delayMs` at least and while requests are running, for
   * `limitMs` at most. Everything is still answered meanwhile.
   */
  drain(delayMs: number, limitMs: number): Promise<void>;
}

/** Adds draining to a listener: each answer during it ends its connection (RFC 9112 §9.6). */
export function addDraining(listener: FastifyInstance): Draining {
  let draining = false;
  let running = 0;
  let idle: (() => void) | undefined;
  listener.addHook('onRequest', async (_request, reply) => {
    running += 1;
    // Fires once for every request, answered or aborted.
    reply.raw.once('close', () => {
      running -= 1;
      if (running === 0) idle?.();
    });
  });
  listener.addHook('onSend', async (_request, reply) => {
    if (draining) void reply.header('connection', 'close');
  });
  return {
    isDraining: () => draining,
    drain: async (delayMs, limitMs) => {
      draining = true;
      await pause(delayMs);
      if (running === 0) return;
      const finished = new Promise<void>((resolve) => (idle = resolve));
      await Promise.race([finished, pause(limitMs, undefined, { ref: false })]);
    },
  };
}
