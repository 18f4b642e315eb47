import { createPerson } from '../../src/dev/rollup-id/people.js';
import { MeDocument, StartRollupLinkDocument, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { eventually } from '../kit/eventually.js';
import { useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { openServerDatabases } from '../kit/server-databases.js';
import { type LinkedPerson, type Server, startServers } from '../kit/servers.js';

const POOL_MAX = 4;
const TIMEOUTS = { DATABASE_POOL_MAX: String(POOL_MAX), DATABASE_TIMEOUT_MS: '3000', REFRESH_WAIT_MS: '500' };
const IMPATIENT = 30;

onPostgres('a server whose database is ailing', () => {
  const databases = useStarted(openServerDatabases);
  const world = useStarted(() => startServers(1, { env: TIMEOUTS }));
  const person = createPerson();
  let server: Server;
  let locked: LinkedPerson;
  let other: LinkedPerson;
  beforeAll(async () => {
    server = world.server;
    locked = await world.linkPerson(person);
    other = await world.linkPerson();
  });

  const me = ({ bearer }: LinkedPerson) => server.ask(MeDocument, {}, { token: bearer });
  const begin = () => {
    const input = { redirectUri: world.rollup.redirectUris[0] ?? '', scopes: ['openid'] };
    return server.ask(StartRollupLinkDocument, { input });
  };
  const readiness = async (): Promise<number> => (await fetch(`${server.url}/readyz`)).status;
  const backends = async (): Promise<number> =>
    (
      await world
        .em()
        .execute(
          `select from pg_stat_activity where datname = current_database() and query not like '%pg_stat%'`,
        )
    ).length;

  test('VLT-64 a locked account is the trouble of that account alone', async () => {
    const tx = world.em();
    await tx.begin();
    await tx.execute(
      `select from sealed_tokens t join rollup_account a on a.id = t.account_id join app_user u on u.id = a.user_id
       where a.id = ? for update`,
      [locked.accountId],
    );
    const input = { accountId: locked.accountId };
    const impatient = Promise.allSettled(
      Array.from({ length: IMPATIENT }, () => [
        world.linkPerson(person),
        server.ask(UnlinkRollupAccountDocument, { input }, { token: locked.bearer }),
        world.renew(server, locked.bearer, { minTtlSeconds: 3_500 }),
      ]).flat(),
    );
    for (let round = 0; round < 40; round += 1) {
      expect((await me(other)).status).toBe(200);
      expect(await backends()).toBeLessThanOrEqual(POOL_MAX + 1);
    }
    expect((await me(locked)).status).toBe(200);
    await impatient;
    await tx.rollback();
    await world.linkPerson(person);
  });

  test('VLT-64 a locked table is 503 for as long, with never more backends than the pool', async () => {
    const tx = world.em();
    await tx.begin();
    await tx.execute('lock table app_user in access exclusive mode');
    for (let wave = 0; wave < 2; wave += 1) {
      const responses = await Promise.all(Array.from({ length: IMPATIENT }, () => me(other)));
      expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([503]));
      expect(await backends()).toBeLessThanOrEqual(POOL_MAX + 1);
    }
    await tx.rollback();
    await eventually(async () => expect((await me(other)).status).toBe(200));
  });

  test('VLT-67 a database that only reads is 503 and not ready, and both heal by themselves', async () => {
    const name = new URL(world.env['DATABASE_URL'] ?? '').pathname.slice(1);
    const setReadOnly = (value: string): Promise<void> =>
      databases.runIn(databases.url, `alter database ${name} set default_transaction_read_only = ${value}`);
    expect(await readiness()).toBe(200);
    // As after a failover: every session is one of a server that only reads.
    await setReadOnly('on');
    await databases.runIn(
      databases.url,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
    );
    await eventually(async () => expect((await begin()).text).toContain('correlationId'));
    const failed = await begin();
    expect(failed).toMatchObject({ status: 503, codes: ['INTERNAL_SERVER_ERROR'] });
    expect((await me(other)).status).toBe(200);
    expect(await readiness()).toBe(503);
    await setReadOnly('off');
    await eventually(async () => expect((await begin()).status).toBe(200));
    const after = await Promise.all(Array.from({ length: 2 * POOL_MAX }, begin));
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await readiness()).toBe(200);
  });
});
