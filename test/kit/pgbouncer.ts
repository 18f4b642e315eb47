import { type ChildProcess, spawn } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathOf } from './needs.js';
import { findFreePort } from './network.js';
import { findRunner } from './postgres-cluster.js';

/**
 * Starts a connection pooler with `poolSize` connections to the server of `databaseUrl`.
 *
 * @param alias its own name of that database; by default all have the names that they have at the server.
 */
export async function startPgBouncer(
  databaseUrl: string,
  poolSize: number,
  mode: 'transaction' | 'statement' = 'transaction',
  alias = '*',
) {
  const runner = await findRunner();
  const home = await mkdtemp(join(tmpdir(), 'rollup-accounts-bouncer-'));
  const port = await findFreePort();
  const config = join(home, 'pgbouncer.ini');
  await writeFile(config, settings(new URL(databaseUrl), { port, poolSize, mode, alias }), { mode: 0o600 });
  for (const path of runner ? [home, config] : []) await chown(path, runner?.uid ?? 0, runner?.gid ?? 0);
  const child = spawn(pathOf('pgbouncer') ?? 'pgbouncer', [config], {
    ...runner,
    cwd: home,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise((resolve) => child.once('close', resolve));
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    await rm(home, { recursive: true, force: true });
  };
  try {
    await waitUntilUp(child);
  } catch (error) {
    await close();
    throw error;
  }
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return { url: url.href, close };
}

function settings(
  url: URL,
  { port, poolSize, mode, alias }: { port: number; poolSize: number; mode: string; alias: string },
): string {
  const server = {
    host: url.hostname,
    port: url.port || '5432',
    user: decodeURIComponent(url.username),
    ...(alias !== '*' && { dbname: url.pathname.slice(1) }),
    ...(url.password !== '' && { password: `'${decodeURIComponent(url.password).replaceAll("'", "''")}'` }),
  };
  return [
    '[databases]',
    `${alias} = ${Object.entries(server)
      .map((pair) => pair.join('='))
      .join(' ')}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    `pool_mode = ${mode}`,
    `default_pool_size = ${poolSize}`,
    'max_client_conn = 500',
    '',
  ].join('\n');
}

async function waitUntilUp(child: ChildProcess): Promise<void> {
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('process up')) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`pgbouncer ended:\n${output}`)));
  });
}
