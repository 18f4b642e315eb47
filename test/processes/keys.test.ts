import { rm } from 'node:fs/promises';
import { waitUntil } from '../kit/eventually.js';
import { needs, onPostgres } from '../kit/needs.js';
import { runProgram } from '../kit/processes.js';
import { linkPeople } from '../kit/renewals.js';
import { startOnTerminal } from '../kit/runbook.js';
import { startProcess } from '../kit/server.js';
import { randomKey } from '../kit/server-env.js';
import { type LinkedPerson, type Renewal, type Server, type Servers, startServers } from '../kit/servers.js';
import { createDataDirectory } from '../kit/test-database.js';

const PEOPLE = 150;

describe('keys generate', () => {
  test.each([
    [['k7'], /^k7:[\w-]{43}\n$/],
    [[], /^k-[\da-f]{8}:[\w-]{43}\n$/],
  ])('VLT-07 %j prints an entry of TOKEN_KEYS, another one each time', async (args, entry) => {
    const runs = [1, 2].map(() => runProgram(['keys', 'generate', ...args], {}));
    expect(await Promise.all(runs.map(({ exited }) => exited))).toEqual([0, 0]);
    for (const run of runs) expect(run.output()).toMatch(entry);
    expect(runs[0]?.output()).not.toBe(runs[1]?.output());
  });

  test('VLT-07 refuses a kid that no ring may have', async () => {
    const run = runProgram(['keys', 'generate', 'k:1'], {});
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('a kid is 1 to 64 letters');
  });
});

test('STO-02 an entry of the ring in the place of a kid is not repeated', async () => {
  const entry = randomKey('k1');
  const DATA_DIR = createDataDirectory();
  const run = runProgram(['keys', 'retire', entry], { DATA_DIR });
  expect(await run.exited).toBe(1);
  expect(run.output()).toContain('knows no key "k1:[redacted]"');
  await rm(DATA_DIR, { recursive: true });
});

test('STO-20 on the embedded database, which allows one process, needs the server to be stopped', async () => {
  const DATA_DIR = createDataDirectory();
  const env = { DATA_DIR, TOKEN_KEYS: randomKey('k1') };
  const server = await startProcess({ ...env, PORT: '0', SHUTDOWN_DELAY_MS: '0' });
  const early = runProgram(['keys', 'rotate'], env);
  expect(await early.exited).toBe(1);
  expect(early.output()).toContain('Another process uses DATA_DIR');
  expect(await server.stop()).toBe(0);
  const late = runProgram(['keys', 'rotate'], env);
  expect(await late.exited).toBe(0);
  expect(late.output()).toContain('wrapped the data keys of 0 accounts with the key "k1"');
  await rm(DATA_DIR, { recursive: true });
});

onPostgres('keys rotate', () => {
  const [k1, k2] = [randomKey('k1'), randomKey('k2')];
  const ring = { TOKEN_KEYS: `${k2},${k1}` };
  let all: Servers;
  let people: LinkedPerson[];
  beforeEach(async () => {
    all = await startServers(1, { env: { TOKEN_KEYS: `${k1},${k2}` } });
    people = await linkPeople(all, PEOPLE);
  });
  afterEach(() => all.close());

  test('STO-20 HTP-27 killed halfway and run again leaves no account on the old key, which can then be removed', async () => {
    const killed = rotate('--max-rate', '50');
    await waitUntil(async () => (await all.wrappedBy('k2')) > 0);
    killed.process.kill('SIGKILL');
    await killed.exited;
    expect(await all.wrappedBy('k1')).toBeGreaterThan(0);
    const again = rotate();
    expect(await again.exited).toBe(0);
    expect(again.output()).toContain('accounts with the key "k2"');
    expect(lineOf(again.output(), 'keys_rotating')).toMatchObject({ kid: 'k2', left: 0 });
    expect(lineOf(again.output(), 'keys_rotated')).toMatchObject({
      level: 'info',
      time: expect.any(String) as string,
      outcome: 'complete',
      kid: 'k2',
      broken: 0,
      left: 0,
    });
    expect(await all.wrappedBy('k1')).toBe(0);
    await all.server.stop();
    const server = await all.add({ TOKEN_KEYS: k2 });
    const renewals = await Promise.all(people.map(({ bearer }) => all.renew(server, bearer)));
    expect(renewals.map(({ token }) => token)).toEqual(people.map(({ token }) => token));
  });

  test('STO-20 VLT-02 two at once, while four servers refresh, lose no refresh and cause none', async () => {
    await all.server.stop();
    const servers: Server[] = [];
    for (let index = 0; index < 4; index += 1) servers.push(await all.add(ring));
    const renewAll = (): Promise<Renewal[]> =>
      Promise.all(people.map(({ bearer }, index) => all.renew(servers[index % 4] ?? all.server, bearer)));
    await Promise.all(people.map(({ accountId }) => all.expire(accountId)));
    const rotations = [rotate(), rotate()];
    const renewals = await renewAll();
    expect(await Promise.all(rotations.map(({ exited }) => exited))).toEqual([0, 0]);
    expect(renewals.filter(({ code }) => code !== undefined)).toEqual([]);
    expect(people.filter(({ sub }) => all.rollup.calls.refreshesOf(sub) !== 1)).toEqual([]);
    expect(await all.wrappedBy('k2')).toBe(PEOPLE);
    const again = await renewAll();
    expect(again.map(({ token }) => token)).toEqual(renewals.map(({ token }) => token));
  });

  test('STO-20 reports a data key that does not unwrap by its account, without its content, and exits with 1', async () => {
    const [victim] = people;
    await all
      .em()
      .execute(`update sealed_tokens set data_key = 'broken-content' where account_id = ?`, [
        victim?.accountId,
      ]);
    const run = rotate();
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('1 accounts have a data key that does not unwrap');
    expect(run.output()).toContain(victim?.accountId);
    expect(run.output()).not.toContain('broken-content');
    expect(await all.wrappedBy('k2')).toBe(PEOPLE - 1);
  });

  needs('script')('on a terminal', () => {
    test('VLT-06 shows a bar instead of JSON lines', async () => {
      const run = startOnTerminal('npx rollup-accounts keys rotate', { ...ring, ...database() });
      expect(await run.exited).toBe(0);
      expect(run.output()).toMatch(/\[#{30}\] 100 %, 150 of 150 accounts, \d+ a second/);
      expect(run.output()).not.toContain('"event"');
    });
  });

  const database = () => ({ DATABASE_URL: all.env['DATABASE_URL'] ?? '' });
  const rotate = (...args: string[]) => runProgram(['keys', 'rotate', ...args], { ...ring, ...database() });
});

/** The last log line of an event. */
function lineOf(output: string, event: string): unknown {
  const lines = output.split('\n').filter((line) => line.includes(`"${event}"`));
  return JSON.parse(lines.at(-1) ?? '{}');
}
