import type { SqlEntityManager } from '@mikro-orm/sql';

export type Clock = ReturnType<typeof createClock>;

/** Time passes for all servers of a test file, their provider and their database alike. */
let offset = 0;

/**
 * A wall clock and a monotonic clock that a test can move, and that run on with the real time.
 *
 * @param isReal they start at the real time, for a provider that has no other.
 */
export function createClock(isReal: boolean) {
  if (isReal) offset = 0;
  let ahead = 0;
  const monotonicNow = (): number => Date.now() + offset;
  return {
    now: () => monotonicNow() - ahead,
    /** Does not follow `setBack`. */
    monotonicNow,
    advance: (ms: number) => void (offset += ms),
    /** Moves the wall clock back, as when a machine corrects it. */
    setBack: (ms: number) => void (ahead += ms),
  };
}

const moved = new WeakSet<object>();

/** Lets time pass in a database as it does for the clocks; servers beat, and Galaxy's budget counts, in real time. */
export function moveClockOf({ config }: SqlEntityManager): void {
  if (moved.has(config)) return;
  moved.add(config);
  const onQuery = config.get('onQuery');
  config.set('onQuery', (sql, params) => {
    const query = onQuery(sql, params);
    if (offset === 0 || /server_heartbeat|galaxy_slot/.test(query)) return query;
    return query.replaceAll('clock_timestamp()', `(clock_timestamp() + interval '${offset} milliseconds')`);
  });
}
