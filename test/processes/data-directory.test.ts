import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { claimDataDirectory } from '../../src/database/data-directory.js';
import { useDirectory, useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { listen } from '../kit/network.js';
import { COMPILE_CACHE, runCommand, runProgram } from '../kit/processes.js';
import { startProcess } from '../kit/server.js';
import { PRODUCTION } from '../kit/server-env.js';
import { createTestDatabase } from '../kit/test-database.js';

const IN_USE = 'rollup-accounts: Another process uses DATA_DIR.';
const UNREACHABLE = { DATABASE_URL: PRODUCTION.DATABASE_URL };
const PROVIDER = {
  ROLLUP_ISSUER: 'https://passport.example',
  ROLLUP_CLIENT_ID: 'client',
  ROLLUP_CLIENT_SECRET: 'a-client-secret-of-some-length',
  ROLLUP_REDIRECT_URIS: 'https://app.example/callback',
};
const START = { PORT: '0', SHUTDOWN_DELAY_MS: '0' };

const parent = useDirectory();
let count = 0;

function createDirectory(): string {
  const directory = join(parent, String((count += 1)));
  mkdirSync(directory);
  return directory;
}

const locksIn = (directory: string): string[] =>
  readdirSync(directory).filter((name) => name.startsWith('lock'));

/** Each file with its content, and with its number, which another one has that takes its place. */
function filesIn(directory: string): unknown[] {
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => [path, statSync(path).ino, readFileSync(path, 'utf8')]);
}

describe('the data directory of a server with everything embedded', () => {
  const DATA_DIR = createDirectory();
  const server = useStarted(() => startProcess({ ...START, DATA_DIR }));

  test.each<[string, Readonly<Record<string, string>>, string]>([
    [
      'everything embedded',
      {},
      'What is embedded serves one process: set another DATA_DIR, or DATABASE_URL and ROLLUP_ISSUER for several.',
    ],
    [
      'the provider embedded',
      UNREACHABLE,
      'What is embedded serves one process: set another DATA_DIR, or DATABASE_URL and ROLLUP_ISSUER for several.',
    ],
    [
      'the database embedded',
      PROVIDER,
      'The embedded database serves one process: set another DATA_DIR, or DATABASE_URL for several.',
    ],
  ])('VLT-75 is refused to a second one with %s, before it writes there', async (_what, env, advice) => {
    const before = filesIn(DATA_DIR);
    const second = runProgram(['serve'], { ...START, DATA_DIR, ...env });
    expect(await second.exited).toBe(1);
    expect(filesIn(DATA_DIR)).toEqual(before);
    expect(second.output()).toBe(`${IN_USE} ${advice}\n`);
    expect(locksIn(DATA_DIR)).toHaveLength(1);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });
});

test('VLT-75 a data directory is free after a start that failed, and after the end', async () => {
  const DATA_DIR = createDirectory();
  const taken = createServer();
  const port = String(await listen(taken));
  for (const env of [{ ROLLUP_DEV_PORT: port }, { PORT: port }]) {
    const failed = runProgram(['serve'], { ...START, DATA_DIR, ...env });
    expect(await failed.exited).toBe(1);
    expect(failed.output()).toContain(`port ${port} is in use`);
    expect(locksIn(DATA_DIR)).toEqual([]);
  }
  await once(taken.close(), 'close');
  const server = await startProcess({ ...START, DATA_DIR });
  expect(locksIn(DATA_DIR)).toHaveLength(1);
  expect(await server.stop()).toBe(0);
  expect(locksIn(DATA_DIR)).toEqual([]);
});

test('VLT-75 a server that embeds neither database nor provider claims no data directory', async () => {
  const [nowhere, held] = [join(createDirectory(), 'none'), createDirectory()];
  const release = await claimDataDirectory(held);
  const [production, development] = [
    runProgram(['serve'], { ...PRODUCTION, DATA_DIR: nowhere }),
    runProgram(['serve'], { ...START, ...UNREACHABLE, ...PROVIDER, DATA_DIR: held }),
  ];
  for (const run of [production, development]) {
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('The database of DATABASE_URL cannot be reached.');
  }
  release();
  expect(existsSync(nowhere)).toBe(false);
  expect(readdirSync(held)).toEqual(['token-keys']);
}, 30_000);

test('VLT-75 of keys that could not be written nothing is there, not even an empty file', async () => {
  const DATA_DIR = createDirectory();
  const command = ['ulimit -f 0; exec "$0" dist/cli/main.js serve', process.execPath];
  const full = runCommand('sh', ['-c', ...command], { ...COMPILE_CACHE, ...START, DATA_DIR });
  expect(await full.exited).toBe(1);
  expect(full.output()).toContain('rollup-accounts: DATA_DIR cannot hold the generated keys.');
  expect(readdirSync(DATA_DIR)).toEqual([]);
});

onPostgres('several servers in development on one database, with one data directory', () => {
  const DATA_DIR = createDirectory();
  const first = useStarted(async (closeToo) => {
    const { env } = closeToo(await createTestDatabase());
    const settings = { ...START, ...env, DATA_DIR };
    return { ...(await startProcess(settings)), settings };
  });

  test('VLT-75 one embeds the provider, and others start with its settings', async () => {
    const refused = runProgram(['serve'], first.settings);
    expect(await refused.exited).toBe(1);
    expect(refused.output()).toContain(IN_USE);
    const issuer = /"rollupId":"([^"]+)"/.exec(first.output())?.[1] ?? '';
    const state = JSON.parse(readFileSync(join(DATA_DIR, 'rollup-id.json'), 'utf8')) as Record<
      string,
      string
    >;
    const second = await startProcess({
      ...first.settings,
      ROLLUP_ISSUER: issuer,
      ROLLUP_CLIENT_ID: state['clientId'] ?? '',
      ROLLUP_CLIENT_SECRET: state['clientSecret'] ?? '',
      ROLLUP_REDIRECT_URIS: `${issuer}/app/callback`,
    });
    expect((await fetch(`${second.url}/readyz`)).status).toBe(200);
    expect(await second.stop()).toBe(0);
  });
});
