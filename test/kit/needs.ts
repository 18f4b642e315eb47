import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { AS_PROCESS_1 } from './claimers.js';
import { ON_POSTGRES } from './test-database.js';

/** The port of the Redis of this machine, which tests use when it runs. */
export const REDIS_PORT = 6379;

const hasRedis = await new Promise<boolean>((resolve) => {
  const socket = connect(REDIS_PORT, '127.0.0.1', () => resolve(true));
  socket.once('error', () => resolve(false));
  socket.unref();
});

/** What not every machine has: databases, services, rights, and programs by their names. */
type Need =
  | 'postgres'
  | 'embedded'
  | 'redis'
  | 'openssl'
  | 'haproxy'
  | 'pgbouncer'
  | 'chromium'
  | 'script'
  | 'namespaces'
  | 'psql'
  | 'pg_dump'
  | 'pg_restore';

/**
 * `describe`, for tests that need these. Without one of them its tests are counted as skipped, and the gate fails when
 * a test was skipped in all of its runs.
 */
export function needs(...all: readonly Need[]): jest.Describe {
  return all.every(isThere) ? describe : describe.skip;
}

/** For tests that need a database server or several processes on one database. */
export const onPostgres = needs('postgres');

function isThere(need: Need): boolean {
  if (need === 'postgres') return ON_POSTGRES;
  if (need === 'embedded') return !ON_POSTGRES;
  if (need === 'redis') return hasRedis;
  if (need === 'namespaces') return hasNamespaces();
  return pathOf(need) !== undefined;
}

function hasNamespaces(): boolean {
  const [command, ...args] = AS_PROCESS_1;
  return spawnSync(command, [...args, 'true']).status === 0;
}

/** Where a program is; undefined when this machine lacks it. */
export function pathOf(program: string): string | undefined {
  // Debian installs servers in /usr/sbin, which is not in a user's PATH.
  const directories = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin'];
  return directories.map((directory) => join(directory, program)).find((path) => existsSync(path));
}
