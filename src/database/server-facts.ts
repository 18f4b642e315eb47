import type { SqlEntityManager } from '@mikro-orm/sql';

/** What a server says of itself and of our session. */
export interface ServerFacts {
  /** As in `server_version_num`: 150004 is 15.4. */
  readonly version: number;
  readonly version_name: string;
  readonly encoding: string;
  /** The role of the session. */
  readonly role: string;
  /** Where tables are made; null when the role may use no schema of its `search_path`. */
  readonly schema: string | null;
  readonly may_create: boolean;
  readonly read_only: boolean;
  readonly in_recovery: boolean;
}

/** What the role may not do with one of our tables. */
export interface TableRights {
  readonly name: string;
  readonly exists: boolean;
  /** The role owns it, or may act as its owner: needed to alter it. */
  readonly owned: boolean;
  /** Privileges that it lacks, such as `insert, delete`; empty when there are none. */
  readonly missing: string;
}

/** What bounds the number of connections; -1 where nothing does. */
export interface ConnectionLimits {
  readonly max_connections: number;
  /** Kept for superusers and roles with `pg_use_reserved_connections`. */
  readonly reserved: number;
  /** The limits of role and database do not hold for it. */
  readonly superuser: boolean;
  readonly role_limit: number;
  readonly database_limit: number;
}

export function readServerFacts(em: SqlEntityManager): Promise<ServerFacts> {
  return readRow<ServerFacts>(
    em,
    `select current_setting('server_version_num')::int as version,
      current_setting('server_version') as version_name,
      current_setting('server_encoding') as encoding,
      session_user::text as role,
      current_schema()::text as schema,
      coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
      current_setting('transaction_read_only')::bool as read_only,
      pg_is_in_recovery() as in_recovery`,
  );
}

/** What the role may do with each table that the server reads and writes, in the schema that it would use. */
export function readTableRights(em: SqlEntityManager): Promise<TableRights[]> {
  const names = [...em.getMetadata().getAll().values()].map(({ tableName }) => tableName);
  const lacks = (right: string): string =>
    `case when not has_table_privilege(c.oid, '${right}') then '${right}' end`;
  return em.execute<TableRights[]>(
    `select t.name, c.oid is not null as exists,
      coalesce(pg_has_role(c.relowner, 'usage'), true) as owned,
      concat_ws(', ', ${['select', 'insert', 'update', 'delete'].map(lacks).join(', ')}) as missing
    from json_array_elements_text(?::json) as t (name)
    left join pg_class c on c.oid = to_regclass(quote_ident(t.name))
    order by t.name`,
    [JSON.stringify(names)],
  );
}

/** Whether transactions may write: not on a standby, nor where `default_transaction_read_only` is on. */
export async function isWritable(em: SqlEntityManager): Promise<boolean> {
  const sql = `select not current_setting('transaction_read_only')::bool as writable`;
  return (await readRow<{ writable: boolean }>(em, sql)).writable;
}

/** The clock of the database, in milliseconds since the epoch. */
export async function readClock(em: SqlEntityManager): Promise<number> {
  const sql = 'select (extract(epoch from clock_timestamp()) * 1000)::text as now';
  return Number((await readRow<{ now: string }>(em, sql)).now);
}

export function readConnectionLimits(em: SqlEntityManager): Promise<ConnectionLimits> {
  return readRow<ConnectionLimits>(
    em,
    `select current_setting('max_connections')::int as max_connections,
      current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
      r.rolsuper as superuser, r.rolconnlimit as role_limit, d.datconnlimit as database_limit
    from pg_roles r, pg_database d
    where r.rolname = session_user and d.datname = current_database()`,
  );
}

/**
 * What is between two connections of ours and the server. A pooler in transaction mode lends the same process of the
 * server to one after the other, or others to the same; one in session mode cannot be told from none.
 */
export async function findPooler(
  first: SqlEntityManager,
  second: SqlEntityManager,
): Promise<'none' | 'transaction' | 'statement'> {
  const pids = [await backendOf(first), await backendOf(second), await backendOf(first)];
  if (pids[0] !== pids[1] && pids[0] === pids[2]) return 'none';
  try {
    await second.transactional((tx) => backendOf(tx));
    return 'transaction';
  } catch (error) {
    if (error instanceof Error && error.message.includes('statement pooling')) return 'statement';
    throw error;
  }
}

async function backendOf(em: SqlEntityManager): Promise<number> {
  return (await readRow<{ pid: number }>(em, 'select pg_backend_pid() as pid')).pid;
}

async function readRow<Row extends object>(
  em: SqlEntityManager,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row> {
  const [row] = await em.execute<Row[]>(sql, values);
  if (!row) throw new Error('the database returned no row');
  return row;
}
