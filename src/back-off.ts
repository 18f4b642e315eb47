/**
 * Exponential back-off with jitter: milliseconds to wait after failure number `failures` (from 1). The base doubles with
 * each failure up to five minutes, plus jitter of up to half of that. `Retry-After` is the minimum, up to an hour.
 *
 * @param random between 0 and 1; spreads processes and accounts.
 */
export function backOffMs(failures: number, baseMs: number, random: number, retryAfterMs = 0): number {
  const step = Math.min(baseMs * 2 ** Math.min(failures - 1, 16), 300_000);
  return Math.round(Math.max(step * (1 + random / 2), Math.min(retryAfterMs, 3_600_000)));
}

/** Time as a parameter, in milliseconds, so that tests own it. See `sleep`. */
export interface Timer {
  readonly now: () => number;
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** Sleeps for so many milliseconds, or until the signal; keeps no process alive. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms).unref();
    signal?.addEventListener('abort', wake);
  });
}

/** Sleeps until a moment of the timer's clock, or until the signal. */
export async function sleepUntil(
  deadline: number,
  { now, sleep: wait }: Timer,
  signal: AbortSignal,
): Promise<undefined> {
  await wait(Math.max(deadline - now(), 0), signal);
}

/** Milliseconds between two looks at a row: from 25 in round 0 to 250, and less by up to half. @param random 0 to 1. */
export function pollMs(round: number, random: number): number {
  return Math.min(25 * 2 ** round, 250) * (0.5 + random / 2);
}

/** Repeats `fn` with exponential back-off of at most a second. Throws its last error when `forMs` have passed. */
export async function retry<Result>(
  fn: () => Promise<Result>,
  { now, sleep }: Timer,
  forMs: number,
): Promise<Result> {
  const until = now() + forMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fn();
    } catch (error) {
      if (now() >= until) throw error;
      await sleep(Math.min(50 * 2 ** attempt, 1_000));
    }
  }
}
