import { rm } from 'node:fs/promises';
import { waitUntil } from '../kit/eventually.js';
import { runProgram } from '../kit/processes.js';
import { linkPeople } from '../kit/renewals.js';
import { startProcess } from '../kit/server.js';
import { type LinkedPerson, type Renewal, type Server, type Servers, startServers } from '../kit/servers.js';
import { createDataDirectory } from '../kit/test-database.js';
import { randomKey } from '../kit/server-env.js';
import { onPostgres } from '../kit/needs.js';

const PEOPLE = 150;

test('STO-20 on the embedded database, which allows one process, needs the server to be stopped', async () => {
  const DATA_DIR = createDataDirectory();
  const env = { DATA_DIR, TOKEN_KEYS: randomKey('k1') };
  const server = await startProcess({ ...env, PORT: '0', SHUTDOWN_DELAY_MS: '0' });
  const early = runProgram(['rotate-keys'], env);
  expect(await early.exited).toBe(1);
  expect(early.output()).toContain('Another process uses DATA_DIR');
  expect(await server.stop()).toBe(0);
  const late = runProgram(['rotate-keys'], env);
  expect(await late.exited).toBe(0);
  expect(late.output()).toContain('sealed the tokens of 0 accounts with the key "k1"');
  await rm(DATA_DIR, { recursive: true });
});

onPostgres('rollup-accounts rotate-keys', () => {
  const [k1, k2] = [randomKey('k1'), randomKey('k2')];
  const ring = { TOKEN_KEYS: `${k2},${k1}` };
  let all: Servers;
  let people: LinkedPerson[];
  beforeEach(async () => {
    all = await startServers(1, { env: { TOKEN_KEYS: k1 } });
    people = await linkPeople(all, PEOPLE);
  });
  afterEach(() => all.close());

  test('STO-20 HTP-27 killed halfway and run again leaves no token on the old key, which can then be removed', async () => {
    const killed = rotate();
    await waitUntil(async () => (await count('k2')) > 0);
    killed.process.kill('SIGKILL');
    await killed.exited;
    const again = rotate();
    expect(await again.exited).toBe(0);
    expect(again.output()).toContain('accounts with the key "k2"');
    const [event = '{}'] = again.output().match(/^\{.*"keys_rotated".*$/m) ?? [];
    expect(JSON.parse(event)).toMatchObject({
      level: 'info',
      time: expect.any(String) as string,
      event: 'keys_rotated',
      outcome: 'complete',
      kid: 'k2',
      broken: 0,
      left: 0,
    });
    expect(await count('k1')).toBe(0);
    await all.server.stop();
    const server = await all.add({ TOKEN_KEYS: k2 });
    const renewals = await Promise.all(people.map(({ bearer }) => all.renew(server, bearer)));
    expect(renewals.map(({ token }) => token)).toEqual(people.map(({ token }) => token));
  });

  test('STO-20 while four servers refresh, no refresh is lost and none is done twice', async () => {
    await all.server.stop();
    const servers: Server[] = [];
    for (let index = 0; index < 4; index += 1) servers.push(await all.add(ring));
    const renewAll = (): Promise<Renewal[]> =>
      Promise.all(people.map(({ bearer }, index) => all.renew(servers[index % 4] ?? all.server, bearer)));
    await Promise.all(people.map(({ accountId }) => all.expire(accountId)));
    const rotation = rotate();
    const renewals = await renewAll();
    expect(await rotation.exited).toBe(0);
    expect(renewals.filter(({ code }) => code !== undefined)).toEqual([]);
    expect(people.filter(({ sub }) => all.rollup.calls.refreshesOf(sub) !== 1)).toEqual([]);
    expect(await rotate().exited).toBe(0);
    expect(await count('k2')).toBe(PEOPLE);
    const again = await renewAll();
    expect(again.map(({ token }) => token)).toEqual(renewals.map(({ token }) => token));
  });

  test('STO-20 reports a token that does not open by its account, without its content, and exits with 1', async () => {
    const [victim] = people;
    await all
      .em()
      .execute(`update sealed_tokens set access_token = 'broken-content' where account_id = ?`, [
        victim?.accountId,
      ]);
    const run = rotate();
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('1 accounts have a token that does not open');
    expect(run.output()).toContain(victim?.accountId);
    expect(run.output()).not.toContain('broken-content');
    expect(await count('k2')).toBe(PEOPLE - 1);
  });

  const rotate = () => runProgram(['rotate-keys'], { ...ring, DATABASE_URL: all.env['DATABASE_URL'] ?? '' });

  async function count(kid: string): Promise<number> {
    const [row] = await all
      .em()
      .execute<{ rows: number }[]>('select count(*)::int as rows from sealed_tokens where key_ids like ?', [
        `%${kid}%`,
      ]);
    return row?.rows ?? 0;
  }
});
