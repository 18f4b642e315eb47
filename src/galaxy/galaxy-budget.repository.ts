import type { SqlEntityManager } from '@mikro-orm/sql';

/**
 * Makes room for `perMinute` requests a minute. Slots that are there keep what they remember, so neither a restart
 * nor another process makes the budget larger.
 */
export async function prepareGalaxyBudget(em: SqlEntityManager, perMinute: number): Promise<void> {
  await em.execute(
    `insert into galaxy_slot (slot, taken_at)
     select slot, to_timestamp(0) from generate_series(1, ?::int) as slot on conflict do nothing`,
    [perMinute],
  );
}

/**
 * Takes one request out of the budget. One statement, by the clock of the database: in no sixty seconds do all
 * processes together take more than `perMinute`.
 *
 * @param canWait takes from the lower half of the slots only, which the others leave alone as long as they can.
 * @returns 0 when it was taken, otherwise the milliseconds until the next one is free.
 */
export async function takeGalaxyRequest(
  em: SqlEntityManager,
  perMinute: number,
  canWait = false,
): Promise<number> {
  // A smaller budget than before has more slots than it counts: what was taken from those counts as well.
  const taken = await em.execute<{ affectedRows: number }>(
    `update galaxy_slot set taken_at = clock_timestamp() where slot = (
       select slot from galaxy_slot
       where slot <= ? and taken_at <= clock_timestamp() - interval '1 minute'
         and (select count(*) from galaxy_slot where taken_at > clock_timestamp() - interval '1 minute') < ?
       order by slot desc limit 1 for update skip locked)`,
    [canWait ? Math.ceil(perMinute / 2) : perMinute, perMinute],
    'run',
  );
  if (taken.affectedRows > 0) return 0;
  const [next] = await em.execute<{ waitMs: number }[]>(
    `select extract(epoch from taken_at + interval '1 minute' - clock_timestamp())::float8 * 1000 as "waitMs"
     from galaxy_slot order by taken_at desc limit 1 offset ?`,
    [perMinute - 1],
  );
  return Math.max(LEAST_WAIT_MS, Math.ceil(next?.waitMs ?? 0));
}

/** Somebody else may be taking the last one at this moment, and not have it yet. */
const LEAST_WAIT_MS = 1_000;
