import type { KeyRotation } from '../../vault/key-rotation.js';

const WIDTH = 30;
const INTERVAL_MS = 1_000;

/**
 * Shows how far a rotation is: as a bar on a terminal, otherwise through `report`, once a second at most.
 *
 * @param now milliseconds.
 */
export function showProgress(
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>,
  now: () => number,
  report: (rotation: KeyRotation) => void,
) {
  const startedAt = now();
  let nextAt = startedAt;
  const show = (rotation: KeyRotation): void => {
    if (now() < nextAt && rotation.left > 0) return;
    nextAt = now() + INTERVAL_MS;
    if (stream.isTTY) stream.write(`\r${bar(rotation, (now() - startedAt) / 1_000)}\u001B[K`);
    else report(rotation);
  };
  return { show, end: () => void (stream.isTTY && stream.write('\r\u001B[K')) };
}

/** `[###-------] 30 %, 4 000 of 13 333 accounts, 4 012 a second` */
function bar({ rewrapped, left }: KeyRotation, seconds: number): string {
  const part = rewrapped / Math.max(rewrapped + left, 1);
  const filled = '#'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '-');
  const rate = Math.round(rewrapped / Math.max(seconds, 0.001));
  return `[${filled}] ${Math.floor(part * 100)} %, ${rewrapped} of ${rewrapped + left} accounts, ${rate} a second`;
}
