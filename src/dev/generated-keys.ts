import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../errors.js';
import { createFile } from './whole-file.js';

/**
 * The key ring of this data directory, as TOKEN_KEYS has it; generates it the first time. Of several processes that do
 * so at once each returns the same one.
 *
 * Throws `StartupError` when it can neither be read nor be stored.
 */
export function readOrCreateKeys(dataDir: string): string {
  const path = join(dataDir, 'token-keys');
  let cause: unknown;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    createFile(path, `dev-1:${randomBytes(32).toString('base64url')}\n`);
  } catch (error) {
    // Usually the file exists: the tokens in the database are sealed with its key.
    cause = error;
  }
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    throw new StartupError('DATA_DIR cannot hold the generated keys. Set another one, or TOKEN_KEYS.', {
      cause,
    });
  }
}
