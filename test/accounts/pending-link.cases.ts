import { consumePendingLink } from '../../src/accounts/pending-link.repository.js';
import { createGate } from '../../src/dev/instruments/faults.js';
import { waitUntil } from '../kit/eventually.js';
import { useWorld } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { WAITING_FOR_LOCKS } from '../kit/test-database.js';

const COPIES = 20;
/** Fewer than the connections of the pool, one of which holds the attempt. */
const CONCURRENT = 8;

describe('a link attempt that is completed', () => {
  const world = useWorld();

  test('VLT-94 is consumed by one statement before its code is sent', async () => {
    const { begun, url } = await world.approve();
    const gate = createGate();
    world.rollup.switches.faults.exchange.queue.push(gate.fault);
    world.statements.length = 0;
    const finished = world.finish(begun, url);
    await gate.arrived;
    const statements = [...world.statements];
    gate.release();
    expect((await finished).userErrors).toEqual([]);
    expect(statements).toEqual([expect.stringMatching(/^delete from pending_link/)]);
  });
});

describe('of twenty concurrent completions of one link attempt', () => {
  const world = useWorld();

  async function consumeCopies(): Promise<Promise<unknown[]>[]> {
    const [attempt] = await world.rows('pending_link');
    const by = {
      stateHash: String(attempt?.['state_hash']),
      linkTokenHash: String(attempt?.['link_token_hash']),
      userId: undefined,
    };
    return [Promise.all(Array.from({ length: COPIES }, () => consumePendingLink(world.em(), by)))];
  }

  test('LNK-05 exactly one consumes the attempt', async () => {
    await world.start();
    const [copies] = await consumeCopies();
    expect((await copies)?.filter((row) => row !== undefined)).toHaveLength(1);
  });

  onPostgres('on several connections', () => {
    test('LNK-05 exactly one consumes it of those that have come as far as the attempt', async () => {
      await world.start();
      const [copies] = await world.em().transactional(async (tx) => {
        await tx.execute('select 1 from pending_link for update');
        const waiting = await consumeCopies();
        await waitUntil(async () => {
          await tx.execute('select pg_stat_clear_snapshot()');
          return (await tx.execute(WAITING_FOR_LOCKS)).length >= CONCURRENT;
        });
        return waiting;
      });
      expect((await copies)?.filter((row) => row !== undefined)).toHaveLength(1);
    });
  });

  test('LNK-05 exactly one links, and its code is sent to the provider once', async () => {
    const { begun, url } = await world.approve();
    const payloads = await Promise.all(Array.from({ length: COPIES }, () => world.finish(begun, url)));
    const codes = payloads.map(({ userErrors }) => userErrors[0]?.code);
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    expect(codes.filter((code) => code === 'LINK_NOT_FOUND')).toHaveLength(COPIES - 1);
    expect(world.rollup.calls.exchange).toBe(1);
  });
});
