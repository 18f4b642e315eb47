import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { type CompleteConfig, loadConfig } from '../../src/config.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { createDataKey, wrapDataKey } from '../../src/vault/data-key.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import {
  ConsentedDataDocument,
  ConsentedScopesDocument,
  LinkRollupAccountDocument,
  MeDocument,
  RenewAccessTokenDocument,
  UnlinkRollupAccountDocument,
} from '../generated/graphql.js';
import {
  analyze,
  deleteExpired,
  GROWING,
  LOT,
  noteSome,
  renameSome,
  repeatAttempt,
  wrapSome,
} from '../kit/crowd.js';
import { startCrowded } from '../kit/crowded-servers.js';
import { waitUntil } from '../kit/eventually.js';
import { useDirectory, useStarted } from '../kit/hooks.js';
import { linkFlow } from '../kit/link-flow.js';
import { onPostgres } from '../kit/needs.js';
import { tablesOf } from '../kit/plan-faults.js';
import { randomKey } from '../kit/server-env.js';
import type { LinkedPerson, Server } from '../kit/servers.js';
import { findUnexecuted } from '../kit/statement-coverage.js';
import { createEmptyDatabase } from '../kit/test-database.js';

const [k1, k2, k3] = [randomKey('k1'), randomKey('k2'), randomKey('k3')];

/** An issuer that is gone. */
const NOBODY = 'http://127.0.0.1:1';
/** What may grow with the accounts all the same: commands count those of a key or an issuer, in the index alone. */
const COUNTS = [
  'select count(*)::int as accounts from sealed_tokens where key_id = ',
  'select count(*)::int as accounts from rollup_account where issuer = ',
];

onPostgres('with three hundred thousand accounts', () => {
  const coverage = useDirectory();
  const crowded = useStarted(() => startCrowded(`${k2},${k1},${k3}`));
  const em = (): SqlEntityManager => crowded.all.em();
  // Code from the compile cache is not counted exactly.
  const reporting = { NODE_V8_COVERAGE: coverage, NODE_COMPILE_CACHE: '' };

  // Each test goes on where the one before it ended.
  describe.each<[string, string, Readonly<Record<string, string>>, () => Promise<void>]>([
    ['nearly empty tables', k1, reporting, async () => undefined],
    ['these tables', k3, {}, () => analyze(em())],
  ])('and the statistics of %s', (_title, oldKey, env, makeStatistics) => {
    let server: Server;
    let owner: { readonly userId: string; readonly token: string };
    beforeAll(async () => {
      await makeStatistics();
      await em().execute('update galaxy_slot set taken_at = to_timestamp(0) where slot = 1');
    });

    test('VLT-60 a server that starts reads and sorts no growing table', async () => {
      // Rollup ID has no such endpoint; refresh tokens that are replaced or unlinked are noted for it.
      crowded.all.rollup.switches.faults.discovery.queue.push({
        transform: (body) => ({ ...body, revocation_endpoint: `${crowded.all.rollup.url}/revoke` }),
      });
      server = await crowded.start(env);
      expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
      expect(crowded.faults()).toEqual([]);
    });

    test('VLT-60 nor does a link, by anybody, again, of one more identity and by tokens', async () => {
      const flow = linkFlow(server.ask, loadConfig(crowded.all.env) as CompleteConfig, crowded.all.rollup);
      const [mira, tomas, other] = crowded.all.rollup.people as [Person, Person, Person];
      owner = await flow.linkPerson(mira);
      expect(await flow.linkPerson(mira)).toMatchObject({ userId: owner.userId });
      await flow.start(['openid'], owner.token);
      await repeatAttempt(em(), owner.userId);
      expect(await flow.linkPerson(tomas, { token: owner.token })).toMatchObject({ userId: owner.userId });
      const { accountId } = await crowded.all.linkPerson(other, server);
      expect(await crowded.all.linkPerson(other, server)).toMatchObject({ accountId });
      const { accessToken, idToken } = await crowded.all.rollup.issue(other, ['openid']);
      const input = { tokens: { accessToken, idToken } };
      const { data } = await server.ask(LinkRollupAccountDocument, { input });
      expect(data.linkRollupAccount).toMatchObject({ userErrors: [], account: { id: accountId } });
      expect(crowded.faults()).toEqual([]);
    });

    test('VLT-60 nor does a query, within the budget of Galaxy and beyond', async () => {
      expect((await server.ask(MeDocument, {}, owner)).errors).toEqual([]);
      expect((await server.ask(ConsentedScopesDocument, {}, owner)).errors).toEqual([]);
      const { text } = await server.ask(ConsentedDataDocument, {}, owner);
      expect(text).toContain('"displayName":"');
      expect(text).toContain('RATE_LIMITED');
      expect(crowded.faults()).toEqual([]);
    });

    test('VLT-60 nor does a refresh, however it ends', async () => {
      const { all } = crowded;
      const renewed = await linkExpired();
      expect(await all.renew(server, renewed.bearer)).toMatchObject({ code: undefined });
      const input = { accountId: renewed.accountId };
      const again = await server.ask(RenewAccessTokenDocument, { input }, { token: renewed.bearer });
      expect(again.data.renewAccessToken.accessToken).toBeTruthy();
      const { queue } = all.rollup.switches.faults.refresh;
      for (const [fault, code] of [
        [{ status: 400, body: { error: 'invalid_grant' } }, 'REAUTHENTICATION_REQUIRED'],
        [{ status: 503 }, 'PROVIDER_UNAVAILABLE'],
      ] as const) {
        queue.push(fault);
        expect(await all.renew(server, (await linkExpired()).bearer)).toMatchObject({ code });
      }
      for (const damage of [
        `refresh_token = 'damaged'`,
        `data_key = 'damaged'`,
        `refresh_token_rotates = true, lease_id = '${randomUUID()}', lease_expires_at = clock_timestamp()`,
      ]) {
        const { accountId, bearer } = await linkExpired();
        await em().execute(`update sealed_tokens set ${damage} where account_id = ?`, [accountId]);
        expect(await all.renew(server, bearer)).toMatchObject({ code: 'REAUTHENTICATION_REQUIRED' });
      }
      const unpublished = await linkExpired();
      const header = { kid: 'not published' };
      const accessToken = await all.rollup.mint('access', all.rollup.people[0] as Person, { header });
      queue.push({ transform: (response) => ({ ...response, access_token: accessToken }) });
      expect(await all.renew(server, unpublished.bearer)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
      expect((await all.row(unpublished.accountId))['pending_response']).not.toBe(null);
      expect(crowded.faults()).toEqual([]);
    });

    test('VLT-60 nor does an unlink, of one identity and of the last', async () => {
      const { data } = await server.ask(MeDocument, {}, owner);
      const accounts = data.me?.rollupAccounts ?? [];
      expect(accounts).toHaveLength(2);
      for (const { id: accountId } of accounts.toReversed()) {
        const { text } = await server.ask(UnlinkRollupAccountDocument, { input: { accountId } }, owner);
        expect(text).toContain(`"unlinkedAccountId":"${accountId}"`);
      }
      expect(await em().execute('select from app_user where id = ?', [owner.userId])).toEqual([]);
      expect(crowded.faults()).toEqual([]);
    });

    test('VLT-60 nor does what runs in the background', async () => {
      const { accountId } = await linkExpired();
      const flow = linkFlow(server.ask, loadConfig(crowded.all.env) as CompleteConfig, crowded.all.rollup);
      crowded.all.rollup.switches.faults.userinfo.queue.push({ status: 503 });
      const missed = await flow.linkPerson(crowded.all.rollup.people[0]);
      const due = `select from rollup_account where id = ? and userinfo_due_at is not null`;
      await waitUntil(async () => (await em().execute(due, [missed.accountId])).length === 0);
      await server.stop();
      const other = await crowded.start({ ...env, REFRESH_AHEAD_SECONDS: '1' });
      await waitUntil(async () => (await crowded.all.row(accountId))['generation'] === 2);
      await other.stop();
      expect(crowded.faults()).toEqual([]);
    });

    test('VLT-60 nor does a command', async () => {
      const kid = oldKey.slice(0, 2);
      const lost = `lost-${kid}`;
      const done = await Promise.all(['migrate', 'doctor', 'keys status', 'keys retire k2'].map(run));
      expect(done.map(({ code }) => code)).toEqual([0, 0, 0, 1]);
      expect(done[3]?.output).toContain('need the key "k2"');
      await wrapSome(em(), wrapDataKey(parseKeyRing(oldKey), createDataKey()));
      await noteSome(em(), kid);
      expect(await run('keys rotate')).toMatchObject({ code: 0, output: containing(`${LOT} accounts`) });
      const late = await whileServersStart(() => run(`keys retire ${kid}`));
      expect(late).toMatchObject({ code: 1, output: containing('Servers seal with') });
      expect(await run(`keys retire ${kid}`)).toMatchObject({ code: 0 });
      await em().execute(`insert into token_key (kid, check_value) values (?, 'any')`, [lost]);
      await wrapSome(em(), { keyId: lost, dataKey: 'lost' });
      await noteSome(em(), lost);
      expect(await run(`keys give-up ${lost}`)).toMatchObject({
        code: 1,
        output: containing('on a terminal'),
      });
      const ended = containing(`${LOT} accounts`);
      expect(await run(`keys give-up ${lost} --yes`)).toMatchObject({ code: 0, output: ended });
      await renameSome(em(), NOBODY);
      const move = await run(`issuer move ${NOBODY} ${crowded.all.rollup.url} --force`);
      expect(move).toMatchObject({ code: 0, output: containing(`moved ${LOT} accounts`) });
      expect(crowded.faults(COUNTS)).toEqual([]);
    });

    const run = (command: string) => crowded.run(command, env);

    /** Ended longer ago than those of the crowd: it is the first to be refreshed. */
    async function linkExpired(): Promise<LinkedPerson> {
      const person = await crowded.all.linkPerson(undefined, server);
      await crowded.all.expire(person.accountId, 86_400);
      return person;
    }
  });

  test('VLT-60 nor does purging, with nothing left to purge', async () => {
    await deleteExpired(em());
    await em().execute(`insert into server_heartbeat (id, server, kids, seen_at)
      values (gen_random_uuid(), 'gone', 'k2', clock_timestamp() - interval '2 days')`);
    const server = await crowded.start(reporting);
    await waitUntil(
      async () => (await em().execute(`select from server_heartbeat where server = 'gone'`)).length === 0,
    );
    await server.stop();
    expect(crowded.faults()).toEqual([]);
  });

  test('VLT-60 every statement of the sources was carried out, and its plan reported', async () => {
    // Migrating changes tables while they are small, and is not looked at.
    const empty = await createEmptyDatabase();
    expect(await crowded.run('migrate', { ...reporting, ...empty.env })).toMatchObject({ code: 0 });
    await empty.close();
    expect(findUnexecuted(coverage)).toEqual([]);
    const tables = new Set(crowded.plans.flatMap(({ plan }) => tablesOf(plan)));
    expect(tables).toEqual(new Set(GROWING));
    // Those of foreign keys, too.
    expect(crowded.plans.some(({ statement }) => statement.endsWith('FOR KEY SHARE OF x'))).toBe(true);
  });

  /** Whenever a key is retired meanwhile, a server has just started that seals with it. */
  async function whileServersStart<Result>(act: () => Promise<Result>): Promise<Result> {
    await em().execute(`create function start_server() returns trigger language plpgsql as $$ begin
      insert into server_heartbeat (id, server, kids) values (gen_random_uuid(), 'late', new.kid);
      return new;
    end $$`);
    await em().execute(
      'create trigger server_starts after update on token_key for each row execute function start_server()',
    );
    const result = await act();
    await em().execute('drop function start_server cascade');
    await em().execute('delete from server_heartbeat');
    return result;
  }
});

const containing = (text: string): string => expect.stringContaining(text) as string;
