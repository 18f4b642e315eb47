import { PostgreSqlConnection, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { retrySerializationFailures } from './outage.js';
import { cancellingClient } from './postgres-client.js';
import { healPool, type Pool } from './postgres-pool.js';

type Dialect = ReturnType<PostgreSqlConnection['createKyselyDialect']>;
type Driver = ReturnType<Dialect['createDriver']>;
type Execute = Parameters<PostgreSqlConnection['execute']>;

/**
 * PostgreSQL with a pool that replaces broken connections (lost ones, those whose response never came, those of a
 * server that only reads any more), and ends at the server what takes too long.
 *
 * Its option `statementTimeoutMs` is for one statement; 0 for no limit.
 */
export class HealingPostgresDriver extends PostgreSqlDriver {
  protected override readonly connection = new HealingConnection(this.config);
}

class HealingConnection extends PostgreSqlConnection {
  override createKyselyDialect(options: { readonly statementTimeoutMs?: number }): Dialect {
    const { statementTimeoutMs = 0, ...rest } = options;
    const onPoolCreated = (pool: Pool): void => {
      pool.Client = cancellingClient(pool.Client, statementTimeoutMs);
      healPool(pool);
    };
    const dialect = super.createKyselyDialect({ ...rest, onPoolCreated });
    const createDriver = dialect.createDriver.bind(dialect);
    return Object.assign(dialect, { createDriver: () => releaseBrokenTransactions(createDriver()) });
  }

  /** Outside a transaction a statement that failed to serialize left nothing behind: it is tried again. */
  override async execute<Result>(
    query: Execute[0],
    params?: Execute[1],
    method?: Execute[2],
    ctx?: Execute[3],
    loggerContext?: Execute[4],
  ): Promise<Result> {
    const run = (): Promise<Result> =>
      super.execute(query, params, method, ctx, loggerContext) as Promise<Result>;
    return ctx ? run() : retrySerializationFailures(run);
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
