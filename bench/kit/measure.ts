import { mkdirSync, writeFileSync } from 'node:fs';

/** What work took: times in milliseconds. */
export interface Measured {
  readonly times: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/** Does the work for each item, `atOnce` of them at a time. */
export async function measure<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => unknown,
): Promise<Measured> {
  const durations: number[] = [];
  const queue = items.values();
  const startedAt = performance.now();
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
  durations.sort((a, b) => a - b);
  const quantile = (share: number): number => durations[Math.floor(durations.length * share)] ?? 0;
  return {
    times: durations.length,
    perSecond: Math.round(durations.length / seconds),
    p50Ms: round(quantile(0.5)),
    p95Ms: round(quantile(0.95)),
  };
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
