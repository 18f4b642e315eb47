import { acquireGalaxySlot } from '../../src/galaxy/galaxy-budget.repository.js';
import { useWorld } from '../kit/hooks.js';

/** Seconds since a slot was taken: within the minute, although a window of half a minute has passed. */
const RECENT = 31;
const LONG_AGO = 61;

describe('the budget of Galaxy is for a minute, and not for half of one:', () => {
  const world = useWorld();
  /** Waits of as many requests in a row; 0 for one that may be sent. */
  const request = async (perMinute: number, times = 1): Promise<number[]> => {
    const waits: number[] = [];
    for (let time = 0; time < times; time += 1) {
      waits.push(await acquireGalaxySlot(world.em(), perMinute));
    }
    return waits;
  };

  test('a slot is free again after a minute', async () => {
    await setTaken([RECENT]);
    const [waitMs] = await request(1);
    expect(waitMs).toBeGreaterThan(1_000);
    expect(waitMs).toBeLessThanOrEqual((60 - RECENT) * 1_000);
    await setTaken([LONG_AGO]);
    expect(await request(1)).toEqual([0]);
  });

  test('a request of the last minute is not forgotten while another slot is free', async () => {
    await setTaken([LONG_AGO, RECENT]);
    const [first, second] = await request(2, 2);
    expect(first).toBe(0);
    expect(second).toBeGreaterThan(0);
  });

  test('a request of the last minute counts after the budget was reduced', async () => {
    await setTaken([LONG_AGO, RECENT]);
    expect((await request(1))[0]).toBeGreaterThan(0);
    await setTaken([LONG_AGO, LONG_AGO]);
    expect(await request(1)).toEqual([0]);
  });

  test('VLT-96 a clock of the database that was set back blocks it for a minute, not for as long', async () => {
    await setTaken([-1_200, -1_199]);
    const [waitMs] = await request(2);
    expect(waitMs).toBeGreaterThan(50_000);
    expect(waitMs).toBeLessThanOrEqual(60_000);
    await letPass(LONG_AGO);
    expect(await request(2, 3)).toEqual([0, 0, expect.any(Number)]);
  });

  test('VLT-96 nor are there more requests than the budget after it was set back', async () => {
    await setTaken([-1_200, LONG_AGO]);
    const waits = await request(2, 3);
    expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(1);
    await letPass(RECENT);
    expect((await request(2))[0]).toBeGreaterThan(0);
  });

  function letPass(seconds: number): Promise<unknown> {
    return world
      .em()
      .execute(`update galaxy_slot set taken_at = taken_at - ? * interval '1 second'`, [seconds]);
  }

  /** The first slots were taken as many seconds ago. */
  async function setTaken(secondsAgo: readonly number[]): Promise<void> {
    for (const [index, seconds] of secondsAgo.entries()) {
      await world
        .em()
        .execute(
          `update galaxy_slot set taken_at = clock_timestamp() - ? * interval '1 second' where slot = ?`,
          [seconds, index + 1],
        );
    }
  }
});
