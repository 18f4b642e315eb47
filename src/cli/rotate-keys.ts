import { logBrokenSeal, logKeyRotation } from '../log-events.js';
import { loadRotationConfig } from '../config.js';
import { openDatabase } from '../database/orm.js';
import { StartupError } from '../errors.js';
import { createLog } from '../log.js';
import type { Environment } from '../settings-reader.js';
import { parseKeyRing } from '../vault/key-ring.js';
import { rotateKeys } from '../vault/key-rotation.js';
import { createTokenCipher } from '../vault/token-cipher.js';

/**
 * Seals every stored token with the first key of `TOKEN_KEYS`, and prints the result on standard output; the log
 * goes to standard error.
 *
 * Throws `ConfigError`, and `StartupError` when the database is not migrated or not every token could be sealed anew.
 */
export async function rotateKeysCommand(env: Environment): Promise<void> {
  const { database: settings, keys } = loadRotationConfig(env);
  const log = createLog('info', [keys], process.stderr);
  const database = await openDatabase(settings);
  try {
    if (!(await database.isReady())) {
      throw new StartupError('The database is not migrated. Run migrate first.');
    }
    const cipher = createTokenCipher(parseKeyRing(keys));
    const rotation = await rotateKeys(database.em, cipher, (accountId, error) =>
      logBrokenSeal(log, accountId, error),
    );
    logKeyRotation(log, rotation);
    const { resealed, kid, broken, left } = rotation;
    process.stdout.write(`sealed the tokens of ${resealed} accounts with the key "${kid}"\n`);
    if (broken > 0) {
      throw new StartupError(`${broken} accounts have a token that does not open; see the log.`);
    }
    if (left > 0) {
      throw new StartupError(
        `${left} accounts are still sealed with another key: a server runs with the old order.`,
      );
    }
  } finally {
    await database.close();
  }
}
