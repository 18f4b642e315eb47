import type { EventEmitter } from 'node:events';
import { PostgreSqlConnection, PostgreSqlDriver } from '@mikro-orm/postgresql';

type PoolOptions = Parameters<PostgreSqlConnection['createKyselyDialect']>[0];
type Dialect = ReturnType<PostgreSqlConnection['createKyselyDialect']>;
type Driver = ReturnType<Dialect['createDriver']>;

/**
 * PostgreSQL through a pool that heals: a connection that was lost, or that owes an answer which never came, gives
 * its place to a new one, whatever it was in the middle of.
 */
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
 * Kysely gives a connection back only after a transaction has begun and ended well
 * (https://github.com/kysely-org/kysely/issues/1990): every BEGIN or ROLLBACK that fails would take a place in the
 * pool for ever. Nobody else releases such a connection: a COMMIT that fails is followed by a ROLLBACK.
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
 * A statement that timed out leaves its client waiting for an answer that may never come, and the pool would hand that
 * client out again. A client that ends is not kept. After an answer that was an error the client is ready a moment
 * later (ReadyForQuery); one that is not by the end of its next use never will be. `pg` has no public name for either.
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
