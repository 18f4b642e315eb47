import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/** Graceful shutdown: readiness drops first, then running requests finish, then the listener closes. */
export interface Draining {
  readonly isDraining: () => boolean;
  /** How many requests are being served. */
  readonly running: () => number;
  /**
   * Makes `/readyz` fail and closes connections after their response, for at least `delayMs` milliseconds, then
   * waits at most `limitMs` for running requests. New requests are still served meanwhile.
   */
  drain(delayMs: number, limitMs: number): Promise<void>;
}

/** Adds draining to a listener: each response meanwhile closes its connection (RFC 9112 §9.6). */
export function addDraining(listener: FastifyInstance): Draining {
  let draining = false;
  let running = 0;
  let idle: (() => void) | undefined;
  listener.addHook('onRequest', async (_request, reply) => {
    running += 1;
    // Fires once for every request, completed or aborted.
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
    running: () => running,
    drain: async (delayMs, limitMs) => {
      draining = true;
      await delay(delayMs);
      if (running === 0) return;
      const finished = new Promise<void>((resolve) => (idle = resolve));
      await Promise.race([finished, delay(limitMs, undefined, { ref: false })]);
    },
  };
}
