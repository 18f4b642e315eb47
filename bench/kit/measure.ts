import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/** What work took: times in milliseconds. */
export interface Measured {
  readonly times: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Processor time of the server for each; other load on the machine changes it less than the rest. Linux only. */
  readonly serverMs?: number;
}

/** Clock ticks are hundredths of a second everywhere on Linux (proc(5), `utime` and `stime`). */
const TICK_MS = 10;

/**
 * Does the work for each item, `atOnce` of them at a time.
 *
 * @param server the process whose processor time is measured.
 */
export async function measure<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => unknown,
  server?: number,
): Promise<Measured> {
  const durations: number[] = [];
  const queue = items.values();
  const startedAt = performance.now();
  const ticksBefore = readTicks(server);
  const worker = async (): Promise<void> => {
    // The iterator is shared: each worker takes the next item.
    for (const item of queue) {
      const from = performance.now();
      await work(item);
      durations.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const seconds = (performance.now() - startedAt) / 1_000;
  const serverMs = ((readTicks(server) - ticksBefore) * TICK_MS) / durations.length;
  durations.sort((a, b) => a - b);
  const quantile = (share: number): number => durations[Math.floor(durations.length * share)] ?? 0;
  return {
    times: durations.length,
    perSecond: Math.round(durations.length / seconds),
    p50Ms: round(quantile(0.5)),
    p95Ms: round(quantile(0.95)),
    ...(serverMs > 0 && { serverMs: round(serverMs) }),
  };
}

function readTicks(pid: number | undefined): number {
  if (pid === undefined || process.platform !== 'linux') return 0;
  // The second field is a name in brackets, which may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

export function round(ms: number): number {
  return Number(ms.toFixed(2));
}

/** Prints a table, and writes `bench/results/<name>.json`. */
export function report(name: string, setup: object, results: readonly object[]): void {
  console.table(results);
  mkdirSync('bench/results', { recursive: true });
  const json = { ...setup, node: process.version, results };
  writeFileSync(`bench/results/${name}.json`, `${JSON.stringify(json, null, 2)}\n`);
}
