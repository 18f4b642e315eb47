import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../errors.js';
import { lockDirectory } from './directory-lock.js';
import { lockName } from './name-lock.js';

const DATABASE_IN_USE =
  'Another process uses DATA_DIR. The embedded database serves one process: set another DATA_DIR, or DATABASE_URL for several.';

/**
 * Creates the data directory and locks it: the embedded database has a single connection, so one process. A server locks
 * it for the embedded provider as well, and says so by a sentence of its own.
 *
 * The lock of a process that is gone counts no longer. Resolves with the release. Rejects with `StartupError` when a
 * process holds it, this one included, and when the directory is none to write to or to listen in.
 */
export async function claimDataDirectory(dataDir: string, inUse = DATABASE_IN_USE): Promise<() => void> {
  const release = await lock(dataDir).catch((cause: unknown) => {
    throw explain(dataDir, cause);
  });
  if (release) return release;
  throw new StartupError(inUse);
}

/** Where the embedded database is in the data directory. */
export function embeddedPath(dataDir: string): string {
  return join(dataDir, 'postgres');
}

async function lock(dataDir: string): Promise<(() => void) | undefined> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  return process.platform === 'win32' ? lockName(pipeName(dataDir)) : lockDirectory(dataDir);
}

/** On Windows Node has no sockets in directories: a named pipe, whatever way leads to the directory. */
function pipeName(dataDir: string): string {
  const path = realpathSync.native(dataDir).toLowerCase();
  return String.raw`\\.\pipe\rollup-accounts-${createHash('sha256').update(path).digest('hex')}`;
}

function explain(dataDir: string, cause: unknown): StartupError {
  if (cause instanceof StartupError) return cause;
  return new StartupError(
    canWrite(dataDir)
      ? 'DATA_DIR needs a local disk: its file system has no sockets, which tell whether another process uses it.'
      : 'DATA_DIR cannot be written to.',
    { cause },
  );
}

/** The codes of a file system without sockets differ: that files can be made in it is the difference. */
function canWrite(dataDir: string): boolean {
  const path = join(dataDir, `write-${randomUUID()}`);
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
    rmSync(path);
    return true;
  } catch {
    return false;
  }
}
