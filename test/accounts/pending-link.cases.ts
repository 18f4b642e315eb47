import { consumePendingLink } from '../../src/accounts/pending-link.repository.js';
import { waitUntil } from '../kit/eventually.js';
import { useWorld } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { WAITING_FOR_LOCKS } from '../kit/test-database.js';

const COPIES = 20;
/** Fewer than the connections of the pool, one of which holds the attempt. */
const CONCURRENT = 8;

describe('of twenty concurrent completions of one link attempt', () => {
  const world = useWorld();

  test('LNK-05 exactly one consumes the attempt', async () => {
    await world.start();
    const [attempt] = await world.rows('pending_link');
    const by = {
      stateHash: String(attempt?.['state_hash']),
      linkTokenHash: String(attempt?.['link_token_hash']),
      userId: undefined,
      now: new Date(world.clock.now()),
    };
    const consumed = await Promise.all(
      Array.from({ length: COPIES }, () => consumePendingLink(world.em(), by)),
    );
    expect(consumed.filter((row) => row?.stateHash === by.stateHash)).toHaveLength(1);
  });

  onPostgres('on several connections', () => {
    test('LNK-05 exactly one links, and its code is sent to the provider once', async () => {
      const { begun, url } = await world.approve();
      const payloads = await world.em().transactional(async (tx) => {
        await tx.execute('select 1 from pending_link for update');
        const copies = Promise.all(Array.from({ length: COPIES }, () => world.finish(begun, url)));
        // Several have come as far as the attempt before the first one gets it.
        await waitUntil(async () => {
          await tx.execute('select pg_stat_clear_snapshot()');
          return (await tx.execute(WAITING_FOR_LOCKS)).length >= CONCURRENT;
        });
        return { copies };
      });
      const codes = (await payloads.copies).map(({ userErrors }) => userErrors[0]?.code);
      expect(codes.filter((code) => code === undefined)).toHaveLength(1);
      expect(codes.filter((code) => code === 'LINK_NOT_FOUND')).toHaveLength(COPIES - 1);
      expect(world.rollup.calls.exchange).toBe(1);
    });
  });
});
