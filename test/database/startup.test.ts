import { useStarted } from '../kit/hooks.js';
import { needs, onPostgres } from '../kit/needs.js';
import { startPgBouncer } from '../kit/pgbouncer.js';
import { runProgram } from '../kit/processes.js';
import { PRODUCTION, randomKey } from '../kit/server-env.js';
import { openServerDatabases } from '../kit/server-databases.js';

/** Each opens a database. */
const COMMANDS: readonly (readonly [string, ...string[]])[] = [
  ['serve'],
  ['migrate'],
  ['keys', 'status'],
  ['keys', 'rotate'],
  ['keys', 'retire', 'k1'],
  ['keys', 'give-up', 'k1', '--yes'],
];
const WORDS = 'DATABASE_URL names a database that does not exist';

onPostgres('a database that is none to work with', () => {
  const databases = useStarted(openServerDatabases);
  const env = (url: string) => ({ ...PRODUCTION, TOKEN_KEYS: randomKey('k1'), DATABASE_URL: url });

  test('VLT-73 of a misspelt name is told at once by every command, and never created', async () => {
    const url = databases.missing();
    const runs = COMMANDS.map((args) => runProgram(args, env(url)));
    expect(await Promise.all(runs.map(({ exited }) => exited))).toEqual(COMMANDS.map(() => 1));
    for (const { output } of runs) expect(output()).toContain(WORDS);
    expect(await databases.find(new URL(url).pathname.slice(1))).toEqual([]);
  });

  needs('pgbouncer')('behind PgBouncer', () => {
    test('VLT-73 of a misspelt name is told too, and never created', async () => {
      const url = databases.missing();
      const pooler = await startPgBouncer(url, 2);
      const run = runProgram(['migrate'], env(pooler.url));
      expect(await run.exited).toBe(1);
      expect(run.output()).toContain(WORDS);
      expect(await databases.find(new URL(url).pathname.slice(1))).toEqual([]);
      await pooler.close();
    });

    test('VLT-73 under another name of the pooler is the one that it names', async () => {
      const url = await databases.createDatabase('template template0');
      const pooler = await startPgBouncer(url, 2, 'transaction', 'accounts');
      const named = new URL(pooler.url);
      named.pathname = '/accounts';
      const run = runProgram(['migrate'], env(named.href));
      expect(await run.exited).toBe(0);
      expect(await databases.find('accounts')).toEqual([]);
      await databases.runIn(url, 'select from migration');
      await pooler.close();
    });
  });

  test.each([['serve'], ['migrate']])(
    'VLT-74 is refused by %s when its encoding is not UTF-8',
    async (command) => {
      const url = await databases.createDatabase(
        `encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0`,
      );
      const run = runProgram([command], env(url));
      expect(await run.exited).toBe(1);
      expect(run.output()).toContain('The database of DATABASE_URL has the encoding LATIN1');
    },
  );

  test('VLT-73 is refused when the role may use no schema', async () => {
    const url = new URL(await databases.createMigrated());
    url.searchParams.set('schema', 'nowhere');
    const run = runProgram(['migrate'], env(url.href));
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('There is no place for tables');
  });
});
