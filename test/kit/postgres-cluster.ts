import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { chown, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Certificate } from './certificates.js';
import { findFreePort } from './network.js';

/** The user for programs that refuse to run as root. */
export interface Runner {
  readonly uid: number;
  readonly gid: number;
}

/** A PostgreSQL server of a single test, which may crash it. */
export interface PostgresCluster {
  readonly url: string;
  readonly port: number;
  /** The directory of its Unix socket. */
  readonly socket: string;
  /** Ends every connection and process at once, as a crash does. Resolves when the server has recovered. */
  crash(): Promise<void>;
  /** Stops it and removes its directory. */
  close(): Promise<void>;
}

/** How a cluster is reached, beside 127.0.0.1 without passwords and in clear. */
export interface ClusterOptions {
  /** Its certificate, and the authority of its clients' certificates. */
  readonly tls?: Certificate & { readonly ca: string };
  /** Lines of `pg_hba.conf` before its own. */
  readonly hba?: readonly string[];
}

/** The loopback addresses of this machine. */
export const LOOPBACKS = ['127.0.0.1', '::1'].filter((address) =>
  Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address)),
);

const run = promisify(execFile);

/** Starts a cluster in a temporary directory, on a free port of the loopback addresses. */
export async function startPostgresCluster(how: ClusterOptions = {}): Promise<PostgresCluster> {
  const runner = await findRunner();
  const bin = await findBinaries();
  const home = await mkdtemp(join(tmpdir(), 'rollup-accounts-pg-'));
  if (runner) await chown(home, runner.uid, runner.gid);
  const data = join(home, 'data');
  const port = await findFreePort();
  // Commits must survive a crash of the server, not of the machine: fsync can stay off.
  const options = `-p ${port} -c listen_addresses=${LOOPBACKS.join(',')} -k ${home} -c fsync=off -c max_connections=60`;
  const exec = (program: string, ...args: string[]): Promise<unknown> =>
    run(join(bin, program), args, { ...runner, cwd: home });
  const control = (...args: string[]): Promise<unknown> =>
    exec('pg_ctl', ...args, '-w', '-s', '-D', data, '-l', join(home, 'log'), '-o', options);
  try {
    await exec(
      'initdb',
      '-D',
      data,
      '-U',
      'postgres',
      '-A',
      'trust',
      '--no-sync',
      '--locale=C',
      '-E',
      'UTF8',
    );
    await configure(data, how, runner);
    await control('start');
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  return {
    url: `postgresql://postgres@127.0.0.1:${port}/postgres`,
    port,
    socket: home,
    crash: async () => void (await control('restart', '-m', 'immediate')),
    close: async () => {
      try {
        await control('stop', '-m', 'immediate');
      } finally {
        await rm(home, { recursive: true, force: true });
      }
    },
  };
}

async function configure(data: string, { tls, hba }: ClusterOptions, runner?: Runner): Promise<void> {
  const rules = join(data, 'pg_hba.conf');
  if (hba) await writeFile(rules, `${hba.join('\n')}\n${await readFile(rules, 'utf8')}`);
  if (!tls) return;
  // The server reads its key only when it belongs to its user alone.
  for (const [name, path] of Object.entries({
    'server.crt': tls.cert,
    'server.key': tls.key,
    'ca.crt': tls.ca,
  })) {
    const copy = join(data, name);
    await copyFile(path, copy);
    if (runner) await chown(copy, runner.uid, runner.gid);
  }
  await writeFile(join(data, 'postgresql.auto.conf'), "ssl = on\nssl_ca_file = 'ca.crt'\n");
}

/** The user `postgres` when tests run as root; otherwise undefined, which keeps the current user. */
export async function findRunner(): Promise<Runner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: string): Promise<number> => Number((await run('id', [flag, 'postgres'])).stdout);
  return { uid: await id('-u'), gid: await id('-g') };
}

/** Debian installs the server's programs outside of PATH, one directory for each version. */
async function findBinaries(): Promise<string> {
  const found = globSync('/usr/lib/postgresql/*/bin/pg_ctl');
  const newest = found.toSorted((a, b) => versionOf(a) - versionOf(b)).at(-1);
  if (newest !== undefined) return join(newest, '..');
  return (await run('pg_config', ['--bindir'])).stdout.trim();
}

function versionOf(path: string): number {
  return Number(/\/postgresql\/(\d+)\//.exec(path)?.[1] ?? 0);
}
