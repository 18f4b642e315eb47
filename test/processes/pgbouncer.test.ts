import { useStarted } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';
import { startPgBouncer } from '../kit/pgbouncer.js';
import { linkPeople, serverAt } from '../kit/renewals.js';
import { startServers } from '../kit/servers.js';

const POOL_SIZE = 5;
const PROCESSES = 6;
const CALLERS = 100;

needs('postgres', 'pgbouncer')('behind PgBouncer with a single connection', () => {
  test('VLT-65 six processes that start at once on an empty database all migrate or wait, and serve', async () => {
    let pooler: { close(): Promise<void> } | undefined;
    const world = await startServers(PROCESSES, {
      empty: true,
      databaseUrl: async (direct) => {
        const started = await startPgBouncer(direct, 1);
        pooler = started;
        return started.url;
      },
    });
    const person = await world.linkPerson();
    for (const server of world.servers) {
      expect(await world.renew(server, person.bearer)).toMatchObject({ token: person.token });
    }
    expect(world.servers.filter((server) => server.output().includes('"msg":"migrated"'))).toHaveLength(1);
    await world.close();
    await pooler?.close();
  });
});

needs('postgres', 'pgbouncer')('behind PgBouncer in transaction mode', () => {
  // All servers migrate concurrently when they start.
  const world = useStarted((closeToo) =>
    startServers(4, {
      databaseUrl: async (direct) => closeToo(await startPgBouncer(direct, POOL_SIZE)).url,
    }),
  );

  test('a hundred callers of one account share one call, five times', async () => {
    const person = await world.linkPerson();
    const seen = new Set([person.token]);
    for (let round = 1; round <= 5; round += 1) {
      await world.expire(person.accountId);
      const renewals = await Promise.all(
        Array.from({ length: CALLERS }, (_, index) => world.renew(serverAt(world, index), person.bearer)),
      );
      expect(renewals.filter(({ code }) => code !== undefined)).toEqual([]);
      expect(new Set(renewals.map(({ token }) => token)).size).toBe(1);
      seen.add(renewals[0]?.token ?? '');
      expect(world.rollup.calls.refreshesOf(person.sub)).toBe(round);
    }
    expect(seen.size).toBe(6);
    const [{ backends } = { backends: 0 }] = await world
      .em()
      .execute<{ backends: number }[]>(
        'select count(*)::int as backends from pg_stat_activity where datname = current_database()',
      );
    // Without PgBouncer there would be five connections per server; the test has a few of its own.
    expect(backends).toBeLessThan(2 * POOL_SIZE);
  });

  test('a hundred accounts that expire at once cost one call each, and nothing fails', async () => {
    const linked = await linkPeople(world, CALLERS);
    await Promise.all(linked.map(({ accountId }) => world.expire(accountId)));
    const callers = [...linked, ...linked];
    const renewals = await Promise.all(
      callers.map(({ bearer }, index) => world.renew(serverAt(world, index * 7), bearer)),
    );
    expect(renewals.filter(({ code }) => code !== undefined)).toEqual([]);
    expect(renewals.slice(0, CALLERS).map(({ token }) => token)).toEqual(
      renewals.slice(CALLERS).map(({ token }) => token),
    );
    expect(linked.filter(({ sub }) => world.rollup.calls.refreshesOf(sub) !== 1)).toEqual([]);
    for (const server of world.servers) expect(server.output()).not.toContain('"level":"error"');
  });
});
