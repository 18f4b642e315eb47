import { setTimeout as pause } from 'node:timers/promises';

const PATIENCE_MS = 30_000;
const POLL_MS = 20;

/** Runs a check again and again until it does not throw any more; throws what it threw last. */
export async function eventually(check: () => unknown, patienceMs = PATIENCE_MS): Promise<void> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() >= until) throw error;
      await pause(POLL_MS);
    }
  }
}
