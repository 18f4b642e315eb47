import type { SqlEntityManager } from '@mikro-orm/sql';
import { NOBODY_ELSE_PURGES } from '../purge.js';

/** A server that was seen lately. */
export interface LiveServer {
  readonly id: string;
  /** Host and process id. */
  readonly server: string;
  /** In the order of its ring: it seals with the first. */
  readonly kids: readonly string[];
  /** The issuer that its settings name; null of an earlier version. */
  readonly issuer: string | null;
  /** Seconds since it was seen, by the clock of the database. */
  readonly seenSecondsAgo: number;
}

/** A server that has not been seen for as long is gone. */
export const SERVER_GONE_AFTER_SECONDS = 30;

/** Notes that a server runs, and which keys it holds. */
export async function putHeartbeat(
  em: SqlEntityManager,
  { id, server, kids, issuer }: Omit<LiveServer, 'seenSecondsAgo'>,
): Promise<void> {
  await em.execute(
    `insert into server_heartbeat (id, server, kids, issuer) values (?, ?, ?, ?)
     on conflict (id) do update set seen_at = clock_timestamp()`,
    [id, server, kids.join(' '), issuer],
  );
}

/** Removes a server that stops. */
export async function deleteHeartbeat(em: SqlEntityManager, id: string): Promise<void> {
  await em.execute('delete from server_heartbeat where id = ?', [id]);
}

/** Deletes up to `limit` servers that have been gone for an hour. Resolves with how many. */
export async function deleteGoneServers(em: SqlEntityManager, limit: number): Promise<number> {
  const result = await em.execute<{ affectedRows: number }>(
    `delete from server_heartbeat where id = any(array(
       select id from server_heartbeat
       where seen_at < clock_timestamp() - interval '1 hour' and ${NOBODY_ELSE_PURGES}
       limit ? for update skip locked))`,
    [limit],
    'run',
  );
  return result.affectedRows;
}

/** The servers that run, by name. One that was seen in the future was so before the clock was set back. */
export async function findLiveServers(em: SqlEntityManager): Promise<LiveServer[]> {
  const rows = await em.execute<(Omit<LiveServer, 'kids'> & { kids: string })[]>(
    `select id, server, kids, issuer, floor(extract(epoch from clock_timestamp() - seen_at))::int as "seenSecondsAgo"
     from server_heartbeat where abs(extract(epoch from clock_timestamp() - seen_at)) < ? order by server, id`,
    [SERVER_GONE_AFTER_SECONDS],
  );
  return rows.map(({ id, server, kids, issuer, seenSecondsAgo }) => ({
    id,
    server,
    kids: kids.split(' '),
    issuer,
    seenSecondsAgo,
  }));
}
