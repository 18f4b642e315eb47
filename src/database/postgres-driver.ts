import type { EventEmitter } from 'node:events';
import { PostgreSqlConnection, PostgreSqlDriver } from '@mikro-orm/postgresql';

type PoolOptions = Parameters<PostgreSqlConnection['createKyselyDialect']>[0];
type Dialect = ReturnType<PostgreSqlConnection['createKyselyDialect']>;
type Driver = ReturnType<Dialect['createDriver']>;

/** PostgreSQL with a pool that replaces broken connections: lost ones, and those whose response never came. */
export class HealingPostgresDriver extends PostgreSqlDriver {
  protected override readonly connection = new HealingConnection(this.config);
}

class HealingConnection extends PostgreSqlConnection {
  override createKyselyDialect(options: PoolOptions): Dialect {
    const dialect = super.createKyselyDialect({ ...options, onPoolCreated: endStuckClients } as PoolOptions);
    const createDriver = dialect.createDriver.bind(dialect);
    return Object.assign(dialect, { createDriver: () => releaseBrokenTransactions(createDriver()) });
  }
}

/**
 * Kysely leaks the connection when BEGIN or ROLLBACK fails (https://github.com/kysely-org/kysely/issues/1990), until the
 * pool is empty. It is released here; a COMMIT that fails is followed by a ROLLBACK.
 */
function releaseBrokenTransactions(driver: Driver): Driver {
  const begin = driver.beginTransaction.bind(driver);
  const rollback = driver.rollbackTransaction.bind(driver);
  const orRelease =
    <Rest extends unknown[]>(act: (connection: Connection, ...rest: Rest) => Promise<void>) =>
    async (connection: Connection, ...rest: Rest): Promise<void> => {
      try {
        await act(connection, ...rest);
      } catch (cause) {
        await driver.releaseConnection(connection);
        throw cause;
      }
    };
  return Object.assign(driver, {
    beginTransaction: orRelease(begin),
    rollbackTransaction: orRelease(rollback),
  });
}

type Connection = Parameters<Driver['beginTransaction']>[0];

/**
 * After a timeout a client still waits for its response, and the pool would hand it out again: end it, and the pool
 * drops it. After an error response a client is ready a moment later (ReadyForQuery); one that is not ready by the end
 * of its next use never will be. `pg` has no public name for either.
 */
function endStuckClients(pool: EventEmitter): void {
  const unready = new WeakSet<Client>();
  pool.on('release', (_error: unknown, client: Client) => {
    if (client['_activeQuery'] || unready.has(client)) void client.end();
    else if (client.readyForQuery === false) {
      unready.add(client);
      client.once('drain', () => unready.delete(client));
    }
  });
}

interface Client extends EventEmitter {
  readonly ['_activeQuery']?: unknown;
  readonly readyForQuery?: boolean;
  end(): Promise<void>;
}
