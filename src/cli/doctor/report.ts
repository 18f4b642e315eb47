import { styleText } from 'node:util';
import type { CheckResult } from './check.js';

const MARKS = { ok: 'ok', warning: 'warning', failed: 'FAILED', skipped: 'skipped' } as const;
const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red', skipped: 'gray' } as const;

/** One line for each check: mark, name, what was found, what to do. Coloured on a terminal, unless NO_COLOR is set. */
export function formatLines(results: readonly CheckResult[]): string {
  const width = Math.max(...results.map(({ name }) => name.length));
  return results
    .map(({ name, status, message, advice = '' }) => {
      const mark = styleText(COLOURS[status], MARKS[status].padEnd(7), { stream: process.stdout });
      return `${mark}  ${name.padEnd(width)}  ${`${message} ${advice}`.trim()}\n`;
    })
    .join('');
}

/** One JSON document. `ok`: nothing failed. */
export function formatJson(results: readonly CheckResult[]): string {
  return `${JSON.stringify({ ok: results.every(({ status }) => status !== 'failed'), checks: results }, null, 2)}\n`;
}
