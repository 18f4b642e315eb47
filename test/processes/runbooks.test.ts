import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { type RollupId, startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { openDatabase } from '../../src/database/orm.js';
import { LinkRollupAccountDocument, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { Fleet, PATIENCE } from '../kit/fleet.js';
import { needs, onPostgres } from '../kit/needs.js';
import { codesOf, linkPeople } from '../kit/renewals.js';
import { type Done, openRunbook, runLine, startRefused } from '../kit/runbook.js';
import { randomKey } from '../kit/server-env.js';
import { type LinkedPerson, type Server, type Servers, startServers } from '../kit/servers.js';
import { createEmptyDatabase } from '../kit/test-database.js';

const SERVERS = 3;
const STOPPED = [0, 0, 0];
const TOKENS = 10;
/** A dozen servers start, one after the other. */
const LIMIT_MS = 400_000;
const CLEAN = { errors: [], miscounted: [] };

interface Closable {
  close(): Promise<void>;
}

let all: Servers;
let people: LinkedPerson[];
let fleet: Fleet;
const others: Closable[] = [];
afterEach(async () => {
  await all.close();
  for (const other of others.splice(0).toReversed()) await other.close();
});

onPostgres('while three servers serve, the runbook', () => {
  import.meta.jest.setTimeout(LIMIT_MS);

  needs(
    'pg_dump',
    'pg_restore',
    'psql',
  )('with the programs of PostgreSQL', () => {
    const directory = mkdtempSync(join(tmpdir(), 'rollup-accounts-'));
    afterAll(() => rmSync(directory, { recursive: true }));

    test('VLT-23 restore from a backup: every link of that time goes on, with the keys of that time', async () => {
      const values = { k1: randomKey('k1'), k2: randomKey('k2') };
      await start({ TOKEN_KEYS: `${values.k1},${values.k2}` });
      const book = openRunbook('Restore from a backup', values);
      const old = database();
      const leaver = await all.linkPerson();
      fleet.startTraffic(people);
      await fleet.untilServed(TOKENS);
      const known = [...people];
      await expectDone(runLine(book.command('pg_dump'), old, directory));
      await fleet.untilServed(TOKENS);
      expect(await fleet.stopTraffic(people)).toMatchObject(CLEAN);
      const newcomer = createPerson();
      const { bearer } = await all.linkPerson(newcomer);
      await unlink(leaver);
      for (const server of fleet.up) expect(await fleet.stop(server)).toBe(0);
      await expectDone(runLine('npx rollup-accounts keys rotate', { ...old, TOKEN_KEYS: both(values) }));
      await expectDone(runLine('npx rollup-accounts keys retire k1', old));

      const restored = closeLater(await createEmptyDatabase());
      const url = restored.env.DATABASE_URL ?? '';
      const env = { NEW_DATABASE_URL: url, ACCOUNT_ID: unlinkedIn(all.server) };
      await expectDone(runLine(book.command('pg_restore'), env, directory));
      await expectDone(runLine(book.command('psql'), env));
      await expectDone(runLine(book.command('psql'), env));
      const inspected = closeLater(await openDatabase({ url, dataDir: '', poolMax: 2, timeoutMs: 10_000 }));
      // A real backup is older than that: its servers and their leases are gone.
      for (const aged of [
        `server_heartbeat set seen_at = seen_at - interval '1 minute'`,
        `sealed_tokens set lease_expires_at = lease_expires_at - interval '5 minutes'`,
      ]) {
        await inspected.em.fork().execute(`update ${aged}`);
      }
      const there = { DATABASE_URL: url };
      const needsKey = expect.stringContaining('need the key "k1"') as string;
      expect(await serve({ ...there, TOKEN_KEYS: values.k2 })).toMatchObject({ code: 1, output: needsKey });
      const ring = book.setting('TOKEN_KEYS');
      fleet = new Fleet(all, [], () => inspected.em.fork());
      await fleet.start(SERVERS, { ...there, ...ring });
      const [server] = fleet.up as [Server];
      const unknown = [await all.renew(server, bearer), await all.renew(server, leaver.bearer)];
      expect(codesOf(unknown)).toEqual(['NOT_LINKED']);
      const renewals = await Promise.all(known.map((person) => all.renew(server, person.bearer)));
      expect(codesOf(renewals)).toEqual([undefined]);
      fleet = new Fleet(all, fleet.up, () => inspected.em.fork());
      const again = [...known, await all.linkPerson(newcomer, server)];
      fleet.startTraffic(again);
      await expectDone(book.run('keys rotate', { ...there, ...ring }));
      // A server that seals with the key would have been refused at the start.
      await expectDone(book.run('keys retire', there));
      expect(await fleet.restart({ ...there, ...book.setting('TOKEN_KEYS') })).toEqual(STOPPED);
      await fleet.untilServed(TOKENS);
      expect(await fleet.stopTraffic(again)).toMatchObject(CLEAN);
      const gone = `select from app_user where id not in (select user_id from rollup_account)`;
      expect(await inspected.em.fork().execute(gone)).toEqual([]);
      expect(book.left()).toEqual([]);
    });
  });

  test('VLT-24 a changed client secret: no account changes, live tokens are served, and what had failed goes on', async () => {
    await start({});
    const values = { ROLLUP_CLIENT_SECRET: all.rollup.renewClientSecret() };
    const book = openRunbook('A changed client secret', values);
    const ended = await linkPeople(all, 3);
    for (const { accountId } of ended) await all.expire(accountId);
    const before = await rowsOf(ended);
    const failed = fleet.up.flatMap((server) => ended.map(({ bearer }) => all.renew(server, bearer)));
    expect(codesOf(await Promise.all(failed))).toEqual(['PROVIDER_MISCONFIGURED']);
    expect(await circuits()).toEqual([1, 1, 1]);
    for (const server of fleet.up) expect(server.output()).toContain('"event":"misconfigured"');
    const live = await Promise.all(people.map(({ bearer }) => all.renew(all.server, bearer)));
    expect(live.map(({ token }) => token)).toEqual(people.map(({ token }) => token));
    await all.linkPerson();
    expect(await rowsOf(ended)).toEqual(before);

    fleet.startTraffic(people);
    expect(await fleet.restart(book.setting('ROLLUP_CLIENT_SECRET'))).toEqual(STOPPED);
    const { errors } = await fleet.stopTraffic(people);
    expect(errors.filter((code) => code !== 'PROVIDER_MISCONFIGURED')).toEqual([]);

    const calls = ended.map(({ sub }) => all.rollup.calls.refreshesOf(sub));
    const renewals = fleet.up.flatMap((server) => ended.map(({ bearer }) => all.renew(server, bearer)));
    expect(codesOf(await Promise.all(renewals))).toEqual([undefined]);
    expect(ended.map(({ sub }) => all.rollup.calls.refreshesOf(sub))).toEqual(
      calls.map((count) => count + 1),
    );
    fleet = new Fleet(all, fleet.up);
    fleet.startTraffic(people);
    await fleet.untilServed(TOKENS);
    expect(await fleet.stopTraffic(people)).toMatchObject(CLEAN);
    expect(await circuits()).toEqual([0, 0, 0]);
    expect(book.left()).toEqual([]);
  });

  test('VLT-25 a changed issuer: accounts rest, nothing of them goes to the other, and all come back', async () => {
    await start({});
    const other = closeLater(await startRollupId());
    const book = openRunbook('A changed issuer', { ROLLUP_ISSUER: all.env['ROLLUP_ISSUER'] ?? '' });
    const resting = await linkPeople(all, 3);
    for (const { accountId } of resting) await all.expire(accountId);
    const before = await rowsOf(resting);
    other.switches.faults.discovery.queue.push({
      transform: (body) => ({ ...body, issuer: 'https://else' }),
    });
    const nowhere = await serve({ ROLLUP_ISSUER: other.url });
    expect(nowhere).toMatchObject({
      code: 1,
      output: expect.stringContaining('names another issuer') as string,
    });

    fleet.startTraffic(people);
    await fleet.restart({
      ROLLUP_ISSUER: other.url,
      ROLLUP_CLIENT_ID: other.clientId,
      ROLLUP_CLIENT_SECRET: other.clientSecret,
    });
    const { errors } = await fleet.stopTraffic(people);
    expect(errors).toEqual(['TOKEN_INVALID', 'UNAUTHENTICATED']);
    const refused = fleet.up.flatMap((server) => resting.map(({ bearer }) => all.renew(server, bearer)));
    expect(codesOf(await Promise.all(refused))).toEqual(['UNAUTHENTICATED']);
    const [server] = fleet.up as [Server];
    const person = { ...createPerson(), sub: resting[0]?.sub ?? '' };
    const elsewhere = await linkAt(other, server, person);
    expect(elsewhere).toMatchObject({ isNewUser: true, account: { sub: person.sub, issuer: other.url } });
    expect(await rowsOf(resting)).toEqual(before);

    expect(await fleet.restart(book.setting('ROLLUP_ISSUER'))).toEqual(STOPPED);
    fleet.startTraffic(people);
    const renewals = fleet.up.flatMap((each) => resting.map(({ bearer }) => all.renew(each, bearer)));
    expect(codesOf(await Promise.all(renewals))).toEqual([undefined]);
    expect(resting.map(({ sub }) => all.rollup.calls.refreshesOf(sub))).toEqual([1, 1, 1]);
    await fleet.untilServed(TOKENS);
    expect(await fleet.stopTraffic(people)).toMatchObject(CLEAN);
    expect(other.calls).toMatchObject({ refresh: 0, exchange: 0, userinfo: 0, galaxy: 0 });
    expect(book.left()).toEqual([]);
  });
});

async function start(env: Readonly<Record<string, string>>): Promise<void> {
  all = await startServers(SERVERS, { env: { ...PATIENCE, ...env } });
  fleet = new Fleet(all);
  people = await linkPeople(all, 6);
}

/** What a test starts beside its servers. */
function closeLater<Other extends Closable>(other: Other): Other {
  others.push(other);
  return other;
}

async function expectDone(run: Promise<Done>): Promise<void> {
  const { code, output } = await run;
  expect({ code, output }).toEqual({ code: 0, output });
}

/** A server that does not start. */
function serve(env: Readonly<Record<string, string>>): Promise<Done> {
  return startRefused({ ...all.env, ...env });
}

async function unlink({ accountId, bearer }: LinkedPerson): Promise<void> {
  await all.server.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token: bearer });
}

/** The account that was unlinked, from the log. */
function unlinkedIn({ output }: Server): string {
  return /"event":"unlinked","accountId":"([^"]+)"/.exec(output())?.[1] ?? '';
}

async function linkAt(rollup: RollupId, { ask }: Server, person: Person) {
  const tokens = await rollup.issue(person, ['openid']);
  return (await ask(LinkRollupAccountDocument, { input: { tokens } })).data.linkRollupAccount;
}

function rowsOf(persons: readonly LinkedPerson[]): Promise<unknown[]> {
  return Promise.all(persons.map(({ accountId }) => all.row(accountId)));
}

/** `rollup_accounts_circuit_open` of each server. */
async function circuits(): Promise<number[]> {
  const pages = fleet.up.map(async ({ url }) => (await fetch(`${url}/metrics`)).text());
  return (await Promise.all(pages)).map((text) =>
    Number(/^rollup_accounts_circuit_open (\d)$/m.exec(text)?.[1]),
  );
}

function both({ k1, k2 }: { readonly k1: string; readonly k2: string }): string {
  return `${k2},${k1}`;
}

function database() {
  return { DATABASE_URL: all.env['DATABASE_URL'] ?? '' };
}
