import { causeOf } from './cause.js';

/** What a check found: in one sentence, and in another what an operator can do. */
export interface Finding {
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped';
  readonly message: string;
  readonly advice?: string;
}

/** A finding under the name of its check. */
export interface CheckResult extends Finding {
  readonly name: string;
}

/** Looks at one thing and changes nothing. */
export interface Check {
  readonly name: string;
  /** Checks of the same run that must come first and succeed. */
  readonly needs?: readonly string[];
  /** Milliseconds. */
  readonly deadlineMs: number;
  /** May throw: that is a failure, with the cause as its message. */
  readonly run: () => Promise<Finding>;
}

/** Shortcuts for findings. */
export const ok = (message: string): Finding => ({ status: 'ok', message });
export const warning = (message: string, advice: string): Finding => ({ status: 'warning', message, advice });
export const failed = (message: string, advice: string): Finding => ({ status: 'failed', message, advice });
export const skipped = (message: string): Finding => ({ status: 'skipped', message });

/** Runs checks one after the other. One that needs another which failed or was skipped is skipped. Never throws. */
export async function runChecks(checks: readonly Check[]): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    const missing = results.find(
      ({ name, status }) => check.needs?.includes(name) && ['failed', 'skipped'].includes(status),
    );
    const finding = missing
      ? skipped(`Needs "${missing.name}", which ${missing.status === 'failed' ? 'failed' : 'was skipped'}.`)
      : await runOne(check);
    results.push({ name: check.name, ...finding });
  }
  return results;
}

async function runOne({ run, deadlineMs }: Check): Promise<Finding> {
  const deadline = Promise.withResolvers<Finding>();
  const late = failed(
    `No result within ${deadlineMs} ms.`,
    'Run doctor again when the machine is less busy.',
  );
  const timer = setTimeout(() => deadline.resolve(late), deadlineMs);
  try {
    return await Promise.race([run(), deadline.promise]);
  } catch (error) {
    return failed(`Unexpected: ${causeOf(error)}.`, 'The log of a server may say more.');
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `make` once, when its value is first asked for: for what several checks look at. */
export function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return () => (made ??= make());
}
