/**
 * Exponential back-off with jitter: milliseconds to wait after failure number `failures` (from 1). The base is doubled
 * each time up to five minutes, plus up to half of it again as jitter, and never less than `Retry-After` asks for, up to
 * an hour.
 *
 * @param random between 0 and 1; spreads processes and accounts apart.
 */
export function backOffMs(failures: number, baseMs: number, random: number, retryAfterMs = 0): number {
  const step = Math.min(baseMs * 2 ** Math.min(failures - 1, 16), 300_000);
  return Math.round(Math.max(step * (1 + random / 2), Math.min(retryAfterMs, 3_600_000)));
}
