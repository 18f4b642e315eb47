import { setTimeout as delay } from 'node:timers/promises';
import { type Database, openDatabase } from '../../src/database/orm.js';
import { isDatabaseOutage } from '../../src/database/outage.js';
import { eventually } from '../kit/eventually.js';
import { useStarted } from '../kit/hooks.js';
import { needs, onPostgres } from '../kit/needs.js';
import { startPgBouncer } from '../kit/pgbouncer.js';
import { startDatabaseProxy } from '../kit/tcp-proxy.js';
import { createTestDatabase, WAITING_FOR_LOCKS } from '../kit/test-database.js';

const TIMEOUT_MS = 500;
const POOL_MAX = 3;
const LOCK = 'lock table app_user in access exclusive mode';
const BLOCKED = 'select count(*) from app_user';
const POOLER_SIZE = 4;

onPostgres('a statement that takes too long', () => {
  const direct = useStarted(async (closeToo) => {
    const database = closeToo(await createTestDatabase());
    const opened = await openDatabase({ ...database.settings, poolMax: 4, timeoutMs: 10_000 });
    return { ...opened, url: database.settings.url ?? '' };
  });
  const open = (url: string): Promise<Database> =>
    openDatabase({ url, dataDir: '', poolMax: POOL_MAX, timeoutMs: TIMEOUT_MS });
  /** The backends of the database, without the one that asks. */
  const countBackends = async (condition = 'true'): Promise<number> =>
    (
      await direct.em
        .fork()
        .execute(
          `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and ${condition}`,
        )
    ).length;

  test('VLT-63 ends at the server when its client has given it up', async () => {
    await expectEnded(direct.url);
  });

  needs('pgbouncer')('behind PgBouncer in transaction mode', () => {
    test('VLT-63 ends at the server too', async () => {
      const pooler = await startPgBouncer(direct.url, POOLER_SIZE);
      await expectEnded(pooler.url);
      await pooler.close();
    });
  });

  async function expectEnded(url: string): Promise<void> {
    const opened = await open(url);
    await whileLocked(async () => {
      const error: unknown = await opened.em
        .fork()
        .execute(BLOCKED)
        .catch((reason: unknown) => reason);
      expect(isDatabaseOutage(error)).toBe(true);
      // The lock is still held.
      await eventually(async () => expect(await direct.em.fork().execute(WAITING_FOR_LOCKS)).toEqual([]));
    });
    await opened.close();
  }

  test('VLT-63 ends at the server after an outage of the network', async () => {
    const { proxy, url } = await startDatabaseProxy(direct.url);
    const opened = await open(url);
    await opened.em.fork().execute('select 1');
    await whileLocked(async () => {
      const blocked = Promise.allSettled([opened.em.fork().execute(BLOCKED)]);
      await eventually(async () => expect(await direct.em.fork().execute(WAITING_FOR_LOCKS)).toHaveLength(1));
      proxy.mode = 'refuse';
      expect(await blocked).toMatchObject([{ status: 'rejected' }]);
      proxy.mode = 'pass';
      await eventually(async () => expect(await direct.em.fork().execute(WAITING_FOR_LOCKS)).toEqual([]));
    });
    await opened.close();
    await proxy.close();
  });

  test('VLT-64 holds its connection until then: never more backends than the pool', async () => {
    const opened = await open(direct.url);
    const most = await whileLocked(async () => {
      const before = await countBackends();
      const run = new AbortController();
      const counts: number[] = [];
      const counting = (async () => {
        while (!run.signal.aborted) {
          counts.push((await countBackends()) - before);
          await delay(5);
        }
      })();
      for (let wave = 0; wave < 4; wave += 1) {
        const callers = Array.from({ length: 3 * POOL_MAX }, () => opened.em.fork().execute(BLOCKED));
        await Promise.allSettled(callers);
      }
      run.abort();
      await counting;
      return Math.max(...counts);
    });
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(POOL_MAX);
    expect(await opened.em.fork().execute('select 1 as one')).toEqual([{ one: 1 }]);
    await opened.close();
  });

  /** Not by `transactional`: within it, what another `Database` executes would run on this one. */
  async function whileLocked<Result>(work: () => Promise<Result>): Promise<Result> {
    const tx = direct.em.fork();
    await tx.begin();
    try {
      await tx.execute(LOCK);
      return await work();
    } finally {
      await tx.rollback();
    }
  }
});
