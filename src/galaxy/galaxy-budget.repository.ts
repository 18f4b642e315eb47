import type { SqlEntityManager } from '@mikro-orm/sql';

/** Another process may be acquiring the last slot right now, before `taken_at` shows it. */
const MIN_WAIT_MS = 1_000;

/**
 * Inserts the slots for `perMinute` requests a minute. Existing slots keep their `taken_at`: neither a restart nor
 * another process refills the budget. After it was reduced, those above it stay, and are not looked at.
 */
export async function ensureGalaxySlots(em: SqlEntityManager, perMinute: number): Promise<void> {
  await em.execute(
    `insert into galaxy_slot (slot, taken_at)
     select slot, to_timestamp(0) from generate_series(1, ?::int) as slot on conflict do nothing`,
    [perMinute],
  );
}

/**
 * Acquires a slot of the sliding-window rate limit. One statement, by the clock of the database: in no sixty seconds do
 * all processes together acquire more than `perMinute`. After that clock was set back, a slot counts as taken for a minute
 * from when the budget is found spent: never as long as the clock was set back, and never as free too early.
 *
 * @param lowPriority acquires from the lower half of the slots only, which other requests use last.
 * @returns 0 when a slot was acquired, otherwise the milliseconds until the next one is free.
 */
export async function acquireGalaxySlot(
  em: SqlEntityManager,
  perMinute: number,
  lowPriority = false,
): Promise<number> {
  // After the budget was reduced, slots above `perMinute` that were taken in the last minute still count.
  const acquired = await em.execute<{ affectedRows: number }>(
    `update galaxy_slot set taken_at = clock_timestamp() where slot = (
       select slot from galaxy_slot
       where slot <= ? and taken_at <= clock_timestamp() - interval '1 minute'
         and (select count(*) from (
           select from galaxy_slot where taken_at > (select clock_timestamp() - interval '1 minute')
           order by taken_at desc limit ?) taken) < ?
       order by slot desc limit 1 for update skip locked)`,
    [lowPriority ? Math.ceil(perMinute / 2) : perMinute, perMinute, perMinute],
    'run',
  );
  if (acquired.affectedRows > 0) return 0;
  await em.execute(
    'update galaxy_slot set taken_at = clock_timestamp() where taken_at > (select clock_timestamp())',
  );
  const [next] = await em.execute<{ waitMs: string }[]>(
    `select (extract(epoch from taken_at + interval '1 minute' - clock_timestamp()) * 1000)::text as "waitMs"
     from galaxy_slot order by taken_at desc limit 1 offset ?`,
    [perMinute - 1],
  );
  return Math.max(MIN_WAIT_MS, Math.ceil(Number(next?.waitMs ?? 0)));
}
