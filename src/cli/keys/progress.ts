const WIDTH = 30;
const INTERVAL_MS = 1_000;

/** How far something is, in accounts. */
interface Progress {
  readonly done: number;
  readonly left: number;
}

/**
 * Shows how far something is: as a bar on a terminal, otherwise through `report`, once a second at most.
 *
 * @param now milliseconds.
 */
export function showProgress<State>(
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>,
  now: () => number,
  progressOf: (state: State) => Progress,
  report: (state: State) => void,
) {
  const startedAt = now();
  let nextAt = startedAt;
  const show = (state: State): void => {
    const progress = progressOf(state);
    if (now() < nextAt && progress.left > 0) return;
    nextAt = now() + INTERVAL_MS;
    if (stream.isTTY) stream.write(`\r${bar(progress, (now() - startedAt) / 1_000)}\u001B[K`);
    else report(state);
  };
  return { show, end: () => void (stream.isTTY && stream.write('\r\u001B[K')) };
}

/** `[###-------] 30 %, 4 000 of 13 333 accounts, 4 012 a second` */
function bar({ done, left }: Progress, seconds: number): string {
  const part = done / Math.max(done + left, 1);
  const filled = '#'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '-');
  const rate = Math.round(done / Math.max(seconds, 0.001));
  return `[${filled}] ${Math.floor(part * 100)} %, ${done} of ${done + left} accounts, ${rate} a second`;
}
