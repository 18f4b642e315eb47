import { setTimeout as delay } from 'node:timers/promises';
import { loadKeysConfig } from '../../config.js';
import { StartupError } from '../../errors.js';
import { createLog } from '../../log.js';
import { logBrokenSeal, logKeyRotation } from '../../log-events.js';
import type { Environment } from '../../settings-reader.js';
import { parseKeyRing } from '../../vault/key-ring.js';
import { type KeyRotation, rotateKeys } from '../../vault/key-rotation.js';
import { showProgress } from './progress.js';
import { withDatabase } from './with-database.js';

/**
 * Wraps the data key of every account with the first key of `TOKEN_KEYS`, and prints the result on standard output.
 * Standard error gets a progress bar when it is a terminal, and JSON lines otherwise.
 *
 * Throws `ConfigError`, what `rotateKeys` throws, and `StartupError` when an account was left with another key.
 */
export async function rotateCommand(
  env: Environment,
  { maxRate, force = false }: { maxRate: number; force?: boolean },
): Promise<void> {
  const { database, keys = '' } = loadKeysConfig(env);
  const log = createLog('info', [keys], process.stderr);
  const now = (): number => performance.now();
  const progress = showProgress(process.stderr, now, doneOf, (rotation: KeyRotation) =>
    logKeyRotation(log, 'keys_rotating', rotation),
  );
  const rotation = await withDatabase(database, (em) =>
    rotateKeys({
      em,
      ring: parseKeyRing(keys),
      maxRate,
      force,
      now,
      sleep: (ms) => delay(ms),
      onProgress: progress.show,
      onBroken: (accountId, error) => logBrokenSeal(log, accountId, error),
    }).finally(progress.end),
  );
  if (!process.stderr.isTTY) logKeyRotation(log, 'keys_rotated', rotation);
  process.stdout.write(
    `wrapped the data keys of ${rotation.rewrapped} accounts with the key "${rotation.kid}"\n`,
  );
  refuseIncomplete(rotation);
}

function doneOf({ rewrapped, left }: KeyRotation) {
  return { done: rewrapped, left };
}

function refuseIncomplete({ broken, left }: KeyRotation): void {
  if (broken > 0) {
    throw new StartupError(`${broken} accounts have a data key that does not unwrap; see the log.`);
  }
  if (left > 0) {
    throw new StartupError(
      `${left} accounts are still wrapped by another key: a server seals with it, or their rows are locked. Run it again.`,
    );
  }
}
