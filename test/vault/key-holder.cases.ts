import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { openDatabase } from '../../src/database/orm.js';
import { holdKeys } from '../../src/vault/key-holder.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { findLiveServers, putHeartbeat } from '../../src/vault/server-heartbeat.repository.js';
import { markRetired, unmarkRetired } from '../../src/vault/token-key.repository.js';
import { randomKey } from '../kit/server-env.js';
import { useStarted } from '../kit/hooks.js';
import { createTestDatabase } from '../kit/test-database.js';

describe('the heartbeat of a server', () => {
  const database = useStarted(async () => {
    const created = await createTestDatabase();
    const opened = await openDatabase({ ...created.settings, poolMax: 2, timeoutMs: 5_000 });
    return { em: () => opened.em.fork(), close: () => opened.close().then(() => created.close()) };
  });
  const ring = parseKeyRing(`${randomKey('new')},${randomKey('old')}`);
  beforeEach(() => database.em().execute('delete from server_heartbeat'));

  test.each([
    ['lacks its first key', ['old'], 'lack the key "new": other'],
    [
      'seals with a key that it lacks',
      ['newer', 'new', 'old'],
      'seal with "newer", which TOKEN_KEYS lacks: other',
    ],
  ])(
    'VLT-05 is noted before others are looked for, such as one that starts at once and %s',
    async (_title, kids, words) => {
      const em = beforeHeartbeats(() =>
        putHeartbeat(database.em(), { id: randomUUID(), server: 'other', kids, issuer: null }),
      );
      await expect(hold(em)).rejects.toThrow(words);
      expect(await live()).toEqual(['other']);
    },
  );

  test('VLT-05 counts for half a minute also when the clock of the database was set back', async () => {
    await putHeartbeat(database.em(), { id: randomUUID(), server: 'gone', kids: ['old'], issuer: null });
    await seen('20 seconds');
    expect(await live()).toEqual(['gone']);
    await seen('1 hour');
    expect(await live()).toEqual([]);
    await hold(database.em());
    await putHeartbeat(database.em(), { id: randomUUID(), server: 'runs', kids: ['old'], issuer: null });
    await expect(hold(database.em())).rejects.toThrow('lack the key "new": runs');
  });

  test('VLT-10 is noted before a key that was retired meanwhile is looked for', async () => {
    const em = beforeHeartbeats(async () => void (await markRetired(database.em(), 'new')));
    await expect(hold(em)).rejects.toThrow('The key "new" was retired');
    expect(await live()).toEqual([]);
    await unmarkRetired(database.em(), 'new');
    await hold(database.em());
  });

  async function hold(em: SqlEntityManager): Promise<void> {
    const release = await holdKeys({
      em,
      ring,
      server: 'this',
      issuer: 'https://issuer.example',
      onError: () => undefined,
    });
    await release();
  }

  async function live(): Promise<string[]> {
    return (await findLiveServers(database.em())).map(({ server }) => server);
  }

  async function seen(ahead: string): Promise<void> {
    await database
      .em()
      .execute('update server_heartbeat set seen_at = clock_timestamp() + ?::interval', [ahead]);
  }

  /** Runs `act` before each statement that writes a heartbeat: too late for what was looked for before. */
  function beforeHeartbeats(act: () => Promise<void>): SqlEntityManager {
    const fork = (): SqlEntityManager => {
      const em = database.em();
      const execute = em.execute.bind(em);
      em.execute = (async (sql: string, params: unknown[]) => {
        if (sql.includes('insert into server_heartbeat')) await act();
        return execute(sql, params);
      }) as typeof em.execute;
      return em;
    };
    return { fork } as unknown as SqlEntityManager;
  }
});
