import type { EventEmitter } from 'node:events';
import { type PgClient, GIVEN_UP, READ_ONLY } from './postgres-client.js';

/** The client of a pool, with two internals of `pg`. */
interface Client extends PgClient {
  readonly ['_activeQuery']?: unknown;
  readonly readyForQuery?: boolean;
}

/**
 * Has a pool replace the clients that must not be used again, when they are released or idle:
 *
 * - whose statement was given up: its CancelRequest may come late, and would end the next one;
 * - that wait for a response still. After an error response a client is ready a moment later (ReadyForQuery); one that is
 *   not ready by the end of its next use never will be;
 * - of a server that only reads any more, as after a failover: all of them, since another one writes now.
 */
export function healPool(pool: EventEmitter): void {
  const idle = new Set<Client>();
  const busy = new Set<Client>();
  const ended = new WeakSet<Client>();
  const unready = new WeakSet<Client>();
  const endAll = (cause: unknown): void => {
    for (const client of busy) ended.add(client);
    // The pool listens to errors of idle clients, and drops them.
    for (const client of idle) client.emit('error', cause);
  };
  pool.on('connect', (client: Client) => {
    client.on(GIVEN_UP, () => ended.add(client));
    client.on(READ_ONLY, endAll);
  });
  pool.on('acquire', (client: Client) => {
    idle.delete(client);
    busy.add(client);
  });
  pool.on('remove', (client: Client) => void idle.delete(client));
  pool.on('release', (_error: unknown, client: Client) => {
    busy.delete(client);
    if (client['_activeQuery'] || ended.has(client) || unready.has(client)) {
      void client.end();
      return;
    }
    idle.add(client);
    if (client.readyForQuery !== false) return;
    unready.add(client);
    client.once('drain', () => unready.delete(client));
  });
}
