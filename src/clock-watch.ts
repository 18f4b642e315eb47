import { leastSkew } from './clock-skew.js';
import { SingleFlight } from './single-flight.js';

/** What a clock watch depends on. Times in milliseconds since the epoch. */
export interface ClockWatchDeps {
  /** The clock of the database. */
  readonly readClock: () => Promise<number>;
  /** The clock of this process. */
  readonly now: () => number;
  /** By how many milliseconds the clocks may differ. */
  readonly maxSkewMs: number;
  /** Called when the clocks begin to disagree, and when they agree again. */
  readonly onChange: (agrees: boolean, aheadMs: number) => void;
}

/** The clock of this process against the one that all processes share, the database's. */
export interface ClockWatch {
  /** Whether the clocks agree, measured anew; false also while the database does not say. Never throws. */
  agrees(): Promise<boolean>;
  /** By how many milliseconds this process was at least ahead when last measured; negative when behind. */
  aheadMs(): number;
  /** Ends the watch, and waits for a measurement in flight. */
  stop(): Promise<void>;
}

const INTERVAL_MS = 5_000;

/**
 * Watches the clock: at once, with each call of `agrees`, and every five seconds. A wrong clock is never told from a slow
 * response: a difference counts only as far as it exceeds the time that the question took.
 */
export async function startClockWatch(deps: ClockWatchDeps): Promise<ClockWatch> {
  const { readClock, now, maxSkewMs, onChange } = deps;
  const measurements = new SingleFlight<boolean>();
  let aheadMs = 0;
  let agreed = true;
  const measure = async (): Promise<boolean> => {
    const from = now();
    const theirs = await readClock();
    aheadMs = leastSkew({ from, to: now() }, { from: theirs, to: theirs });
    const agrees = Math.abs(aheadMs) <= maxSkewMs;
    if (agrees !== agreed) onChange(agrees, aheadMs);
    agreed = agrees;
    return agrees;
  };
  const agrees = (): Promise<boolean> => measurements.run('clock', () => measure().catch(() => false));
  await agrees();
  const timer = setInterval(() => void agrees(), INTERVAL_MS);
  return {
    agrees,
    aheadMs: () => aheadMs,
    stop: async () => {
      clearInterval(timer);
      await measurements.drain();
    },
  };
}
