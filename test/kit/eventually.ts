import { setTimeout as delay } from 'node:timers/promises';

const DEFAULT_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

/** Repeats a check until it passes; after the timeout it throws the last error. */
export async function eventually(check: () => unknown, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() >= deadline) throw error;
      await delay(POLL_MS);
    }
  }
}

/** Polls until the condition holds; throws after the same timeout as `eventually`. */
export function waitUntil(condition: () => Promise<boolean> | boolean): Promise<void> {
  return eventually(async () => {
    if (!(await condition())) throw new Error('the condition never became true');
  });
}
