import type { EventEmitter } from 'node:events';
import type { PgClient, PgClientClass } from './pg-client.js';
import { GIVEN_UP, READ_ONLY } from './postgres-client.js';

/** A pool of `pg-pool`, with three of its internals. */
export interface Pool extends EventEmitter {
  Client: PgClientClass;
  ['_clients']: PgClient[];
  ['_remove'](client: PgClient, callback?: () => void): void;
  ['_pulseQueue'](): void;
}

/** How long a server may take to end a session. */
const END_GRACE_MS = 1_000;

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
export function healPool(pool: Pool): void {
  holdPlaces(pool);
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

/**
 * Counts a client as one of the pool until it has ended, and not only until it is told to: its backend is there as long.
 */
function holdPlaces(pool: Pool): void {
  const remove = pool['_remove'].bind(pool);
  pool['_remove'] = (client, callback = () => pool['_pulseQueue']()) => {
    let ended = false;
    const timer = setTimeout(() => client.connection.stream.destroy(), END_GRACE_MS).unref();
    remove(client, () => {
      ended = true;
      clearTimeout(timer);
      pool['_clients'] = pool['_clients'].filter((other) => other !== client);
      callback();
    });
    if (!ended) pool['_clients'].push(client);
  };
}
