import { LinkRollupAccountDocument, MeDocument } from '../generated/graphql.js';
import { useStarted } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';
import { startPgBouncer } from '../kit/pgbouncer.js';
import { serverAt } from '../kit/renewals.js';
import { openServerDatabases } from '../kit/server-databases.js';
import { startServers } from '../kit/servers.js';
import { createPerson } from '../../src/dev/rollup-id/people.js';

/** Whatever a role or a database may set for its sessions. */
const SETTINGS = [
  `DateStyle = 'German, YMD'`,
  `TimeZone = 'Asia/Kathmandu'`,
  'standard_conforming_strings = off',
  `default_transaction_isolation = 'repeatable read'`,
  'search_path = app, public',
  'extra_float_digits = -15',
];
/** A backslash before a quote: where strings are not conforming, it would end the literal elsewhere. */
const NAME = String.raw`Robert\'; drop table app_user; --`;
const CONCURRENT = 20;

needs('postgres', 'pgbouncer').each<[string, boolean]>([
  ['directly', false],
  ['through PgBouncer', true],
])('sessions that a database sets up in its own way, %s', (_title, pooled) => {
  const databases = useStarted(openServerDatabases);
  const world = useStarted((closeToo) =>
    startServers(2, {
      empty: true,
      databaseUrl: async (direct) => {
        const name = new URL(direct).pathname.slice(1);
        await databases.runIn(direct, 'create schema app');
        for (const setting of SETTINGS) {
          await databases.runIn(databases.url, `alter database ${name} set ${setting}`);
        }
        return pooled ? closeToo(await startPgBouncer(direct, 8)).url : direct;
      },
    }),
  );

  test('VLT-69 change no value, and no place of a table', async () => {
    const person = createPerson({ name: NAME });
    const linked = await world.linkPerson(person);
    const mint = (kind: 'access' | 'id') =>
      world.rollup.mint(kind, person, { scopes: ['openid', 'profile', 'email'] });
    const tokens = { accessToken: await mint('access'), idToken: await mint('id') };
    expect((await world.server.ask(LinkRollupAccountDocument, { input: { tokens } })).errors).toEqual([]);
    const { data } = await world.server.ask(MeDocument, {}, { token: linked.bearer });
    expect(data.me?.name).toBe(NAME);
    const { createdAt = '' } = data.me ?? {};
    expect(Math.abs(Date.parse(createdAt) - Date.now())).toBeLessThan(600_000);
    const [stored] = await world
      .em()
      .execute<{ schemaname: string }[]>(
        `select schemaname from pg_tables where tablename in ('app_user', 'migration') group by 1`,
      );
    expect(stored).toEqual({ schemaname: 'app' });
  });

  test('VLT-69 a server starts there again and again, and refreshes', async () => {
    const again = await world.add();
    const person = await world.linkExpired();
    expect(await world.renew(again, person.bearer)).toMatchObject({ code: undefined });
    await again.stop();
  });

  test('VLT-68 links of one identity, twenty at once, all succeed in repeatable read', async () => {
    const person = createPerson();
    const { accountId } = await world.linkPerson(person);
    // The same tokens: of several, those of an earlier second may come later, and replace none.
    const input = { tokens: await world.rollup.issue(person, ['openid']) };
    const links = await Promise.all(
      Array.from({ length: CONCURRENT }, (_, index) =>
        serverAt(world, index).ask(LinkRollupAccountDocument, { input }),
      ),
    );
    for (const { data } of links) {
      expect(data.linkRollupAccount).toMatchObject({ userErrors: [], account: { id: accountId } });
    }
    expect(await world.row(accountId)).toMatchObject({ generation: CONCURRENT + 1 });
  });
});
