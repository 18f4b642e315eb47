import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../errors.js';
import { asObject } from '../json.js';

/**
 * Creates the data directory and locks it: the embedded database has a single connection, so one process.
 *
 * A lock left behind by a process that is gone is taken over. Returns the release. Throws `StartupError`
 * when a living process holds it.
 */
export function claimDataDirectory(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, 'lock');
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx', mode: 0o600 });
      return () => rmSync(path, { force: true });
    } catch (cause) {
      if (!hasCode(cause, 'EEXIST')) throw new StartupError('DATA_DIR cannot be written to.', { cause });
      if (isAlive(Number(readFileSync(path, 'utf8')))) break;
      rmSync(path, { force: true });
    }
  }
  throw new StartupError(
    'Another process uses DATA_DIR. The embedded database serves one process: set another DATA_DIR, or DATABASE_URL for several.',
  );
}

/** Where the embedded database is in the data directory. */
export function embeddedPath(dataDir: string): string {
  return join(dataDir, 'postgres');
}

function isAlive(pid: number): boolean {
  // A container that restarts gives the same small pid again: a lock with our own pid is an old one.
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

function hasCode(error: unknown, code: string): boolean {
  return asObject(error)?.['code'] === code;
}
