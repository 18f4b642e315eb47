import { randomBytes } from 'node:crypto';
import { ConfigError } from '../../errors.js';
import { findKeyProblems } from '../../vault/key-ring.js';

/**
 * Prints a new key as an entry of `TOKEN_KEYS`. Without a `kid` it gets one that no other run makes.
 *
 * Throws `ConfigError` for a `kid` that no ring may have.
 */
export async function generateCommand(kid = `k-${randomBytes(4).toString('hex')}`): Promise<void> {
  const entry = `${kid}:${randomBytes(32).toString('base64url')}`;
  if (findKeyProblems(entry).length > 0) {
    throw new ConfigError(['a kid is 1 to 64 letters, digits, ".", "_" or "-"']);
  }
  process.stdout.write(`${entry}\n`);
}
