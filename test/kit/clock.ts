/** A wall clock and a monotonic clock that a test can move. */
export interface Clock {
  readonly now: () => number;
  /** Does not follow `setBack`. */
  readonly monotonicNow: () => number;
  advance(ms: number): void;
  /** Moves the wall clock back, as when a machine corrects it. */
  setBack(ms: number): void;
}

/** Starts at the real time and runs on with it. */
export function createClock(): Clock {
  let offset = 0;
  let ahead = 0;
  const monotonicNow = (): number => Date.now() + offset;
  return {
    now: () => monotonicNow() - ahead,
    monotonicNow,
    advance: (ms) => void (offset += ms),
    setBack: (ms) => void (ahead += ms),
  };
}
