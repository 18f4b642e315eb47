import { createPerson } from '../../src/dev/rollup-id/people.js';
import { Fleet, PATIENCE } from '../kit/fleet.js';
import { needs, onPostgres } from '../kit/needs.js';
import { codesOf, linkPeople } from '../kit/renewals.js';
import { type Done, endOf, openRunbook, runLine, startOnTerminal, startRefused } from '../kit/runbook.js';
import { randomKey } from '../kit/server-env.js';
import { type LinkedPerson, type Servers, startServers } from '../kit/servers.js';

const SERVERS = 3;
const STOPPED = [0, 0, 0];
const TOKENS = 10;
/** A dozen servers start, one after the other. */
const LIMIT_MS = 400_000;
const CLEAN = { errors: [], miscounted: [] };

let all: Servers;
afterEach(() => all.close());

onPostgres('while three servers serve, the runbook', () => {
  import.meta.jest.setTimeout(LIMIT_MS);

  test('VLT-20 VLT-21 VLT-05 rotate and retire: the old key leaves every row and ring, and no request fails', async () => {
    const values: Record<string, string> = { k1: randomKey('k1') };
    const { fleet, people } = await startFleet(values['k1'] ?? '');
    fleet.startTraffic(people);
    await rotate(fleet, values);
    await retire(fleet, values);
    await fleet.untilServed(TOKENS);
    expect(await fleet.stopTraffic(people)).toMatchObject(CLEAN);
  });

  async function rotate(fleet: Fleet, values: Record<string, string>): Promise<void> {
    const book = openRunbook('Rotate a key', values);
    values['k2'] = (await book.run('keys generate', {})).output.trim();
    const tooEarly = await serve({ TOKEN_KEYS: `${values['k2']},${values['k1']}` });
    expect(tooEarly.code).toBe(1);
    for (const { run } of fleet.up) expect(tooEarly.output).toContain(`(pid ${run?.process.pid})`);
    expect(await fleet.restart(book.setting('TOKEN_KEYS'))).toEqual(STOPPED);
    expect((await book.run('keys status', database())).output).toMatch(/^k2 +0 +used +3 of 3 servers +0$/m);
    const ring = book.setting('TOKEN_KEYS');
    expect(await fleet.restart(ring)).toEqual(STOPPED);
    expect(await all.wrappedBy('k1')).toBeGreaterThan(0);
    expect(await book.run('keys rotate', { ...database(), ...ring })).toMatchObject({
      code: 0,
      output: expect.stringContaining('with the key "k2"') as string,
    });
    const { output } = await book.run('keys status', database());
    expect(output).toMatch(/^k1 +0 +used +3 of 3 servers +0$/m);
    expect(output).toMatch(/^k2 +[1-9]\d* +used +3 of 3 servers +3$/m);
    expect(book.left()).toEqual([]);
  }

  async function retire(fleet: Fleet, values: Record<string, string>): Promise<void> {
    const book = openRunbook('Retire a key', values);
    expect(await book.run('keys retire', database())).toEqual({
      code: 0,
      output: 'retired the key "k1": it can be taken out of TOKEN_KEYS\n',
    });
    expect(await fleet.restart(book.setting('TOKEN_KEYS'))).toEqual(STOPPED);
    expect(book.left()).toEqual([]);
  }

  needs('script')('on a terminal', () => {
    test('VLT-22 STO-21 a lost key that is given up ends its links only, without a crash loop or a storm of retries', async () => {
      const values: Record<string, string> = { k1: randomKey('k1'), k2: randomKey('k2') };
      const { fleet, people } = await startFleet(`${values['k2']},${values['k1']}`);
      const book = openRunbook('A lost key', values);
      const sealing = await all.add({ TOKEN_KEYS: `${values['k1']},${values['k2']}` });
      const persons = [createPerson(), createPerson(), createPerson()];
      const lost = await Promise.all(persons.map((person) => all.linkPerson(person, sealing)));
      fleet.startTraffic(people);
      await fleet.untilServed(TOKENS);

      const status = (await book.run('keys status', database())).output;
      expect(status).toMatch(/^k1 +3 +used +4 of 4 servers +1$/m);
      values['k3'] = (await book.run('keys generate', {})).output.trim();
      const ring = book.setting('TOKEN_KEYS');
      expect(await serve(ring)).toMatchObject({ code: 1, output: needsKey });
      const giveUp = book.command('npx rollup-accounts keys give-up k1');
      expect(await runLine(`${giveUp} --yes`, database())).toMatchObject({ code: 1, output: isHeld });
      expect(await fleet.stopTraffic(people)).toMatchObject(CLEAN);
      for (const server of fleet.up) await fleet.stop(server);
      await sealing.stop('SIGKILL');
      expect(await runLine(`${giveUp} --yes`, database())).toMatchObject({ code: 1, output: isHeld });
      expect(await all.wrappedBy('k1')).toBe(3);
      await all.em().execute(`update server_heartbeat set seen_at = seen_at - interval '1 minute'`);
      expect(await giveUpOnTerminal(giveUp)).toMatchObject({ code: 0, output: gaveUp });

      await fleet.start(SERVERS, ring);
      fleet.startTraffic(people);
      await fleet.untilServed(TOKENS);
      const renewals = fleet.up.flatMap((server) => lost.map(({ bearer }) => all.renew(server, bearer)));
      expect(codesOf(await Promise.all(renewals))).toEqual(['REAUTHENTICATION_REQUIRED']);
      expect(lost.filter(({ sub }) => all.rollup.calls.refreshesOf(sub) > 0)).toEqual([]);
      const again = await Promise.all(persons.map((person) => all.linkPerson(person, fleet.up[0])));
      expect(again.map(({ accountId }) => accountId)).toEqual(lost.map(({ accountId }) => accountId));
      expect(await fleet.stopTraffic([...people, ...again])).toMatchObject(CLEAN);
      expect(fleet.up.map(({ run }) => run?.process.exitCode)).toEqual([null, null, null]);
      expect(book.left()).toEqual([]);
    });
  });
});

const needsKey = expect.stringContaining('need the key "k1", which TOKEN_KEYS lacks') as string;
const isHeld = expect.stringContaining('The key "k1" is not lost: servers that run hold it') as string;
const gaveUp = expect.stringContaining('gave up the key "k1": 3 accounts') as string;

/** Three servers with this ring, and people who are linked. */
async function startFleet(ring: string): Promise<{ fleet: Fleet; people: LinkedPerson[] }> {
  all = await startServers(SERVERS, { env: { ...PATIENCE, TOKEN_KEYS: ring } });
  return { fleet: new Fleet(all), people: await linkPeople(all, 6) };
}

async function giveUpOnTerminal(line: string): Promise<Done> {
  const run = startOnTerminal(line, database());
  await run.until('Type k1 to go on');
  run.process.stdin?.write('k1\r');
  return endOf(run);
}

/** A server that does not start. */
function serve(env: Readonly<Record<string, string>>): Promise<Done> {
  return startRefused({ ...all.env, ...env });
}

function database() {
  return { DATABASE_URL: all.env['DATABASE_URL'] ?? '' };
}
