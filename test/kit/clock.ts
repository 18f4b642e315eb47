export type Clock = ReturnType<typeof createClock>;

/** A wall clock and a monotonic clock that a test can move. They start at the real time and run on with it. */
export function createClock() {
  let offset = 0;
  let ahead = 0;
  const monotonicNow = (): number => Date.now() + offset;
  return {
    now: () => monotonicNow() - ahead,
    /** Does not follow `setBack`. */
    monotonicNow,
    advance: (ms: number) => void (offset += ms),
    /** By how many milliseconds it was advanced. */
    advanced: () => offset,
    /** Moves the wall clock back, as when a machine corrects it. */
    setBack: (ms: number) => void (ahead += ms),
  };
}
