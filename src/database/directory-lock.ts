import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartupError } from '../errors.js';
import { askState, hasCode, listenForState, type LockState } from './lock-socket.js';

/** A lock socket; names of equal length, so that their order is one of ids. */
const LOCK = /^lock-[0-9a-f]{24}\.sock$/;
/** What a killed process left before its socket had its name, and the lock of earlier versions. */
const LEFT_BEHIND = /^lock(-[0-9a-f]{24}\.new)?$/;
/** In bytes: `sun_path` of macOS without its final zero; Linux has four more (unix(7)). */
const MAX_SOCKET_PATH = 103;
const POLL_MS = 20;

/**
 * Locks an existing directory by a listening socket in it, which the kernel closes when the process is gone, whatever
 * its number and its container. Resolves with the release; with undefined when another holds it, or claims it first.
 * Rejects with the system's error when there can be no socket.
 *
 * Each claimer publishes a socket under a name that is never used again, and only then lists those of others. It
 * listens before the name is there and until it gives up or is gone, so one that refuses is of a process that is gone.
 *
 * - Never do two hold. Of two, one published last. It listed afterwards, so it saw the other's socket, and it holds only
 *   after that one was gone. Neither ids nor times matter here.
 * - Of several at once one wins, if none is killed or frozen meanwhile. One gives up only for a holder or a lower id, so
 *   the lowest id does not give up unless somebody holds. One waits only for higher ids, so the highest of those that
 *   wait has nobody left to wait for, and holds.
 */
export async function lockDirectory(directory: string): Promise<(() => void) | undefined> {
  const reach = openReach(directory);
  try {
    return await claim(directory, reach.path);
  } finally {
    reach.close();
  }
}

async function claim(directory: string, reach: string): Promise<(() => void) | undefined> {
  let state: LockState = 'claiming';
  const id = randomBytes(12).toString('hex');
  const draft = `lock-${id}.new`;
  const name = `lock-${id}.sock`;
  const server = await listenForState(join(reach, draft), () => state);
  const release = (): void => withdraw(server, join(directory, name));
  try {
    if (!publish(join(directory, draft), join(directory, name)) || !(await outlive(name, directory, reach))) {
      release();
      return undefined;
    }
    state = 'holding';
    for (const left of readdirSync(directory).filter((entry) => LEFT_BEHIND.test(entry))) {
      rmSync(join(directory, left), { force: true });
    }
    return release;
  } catch (error) {
    release();
    throw error;
  }
}

/** Gives a socket that listens its name; false when a holder removed it as left behind. */
function publish(draft: string, path: string): boolean {
  try {
    chmodSync(draft, 0o600);
    renameSync(draft, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Waits until every other is gone; false when one of them holds, or claims with a lower id. */
async function outlive(own: string, directory: string, reach: string): Promise<boolean> {
  const others = readdirSync(directory).filter((name) => LOCK.test(name) && name !== own);
  for (const other of others) {
    const path = join(reach, other);
    const state = own < other ? await awaitDecision(path) : await askState(path);
    if (state !== 'gone') return false;
    rmSync(join(directory, other), { force: true });
  }
  return true;
}

async function awaitDecision(path: string): Promise<'holding' | 'gone'> {
  for (;;) {
    const state = await askState(path);
    if (state !== 'claiming') return state;
    await delay(POLL_MS);
  }
}

function withdraw(server: Server, path: string): void {
  rmSync(path, { force: true });
  // Node removes the path that it bound by itself, but that is the draft's.
  server.close();
}

/** The path by which sockets in the directory are reached, which has a limit; on Linux a short one to the same place. */
function openReach(directory: string): { readonly path: string; readonly close: () => void } {
  const longest = join(directory, `lock-${'0'.repeat(24)}.sock`);
  if (Buffer.byteLength(longest) <= MAX_SOCKET_PATH) return { path: directory, close: () => undefined };
  if (process.platform !== 'linux') {
    throw new StartupError('The path of DATA_DIR is too long for a socket in it. Set a shorter one.');
  }
  const descriptor = openSync(directory, 'r');
  return { path: `/proc/self/fd/${descriptor}`, close: () => closeSync(descriptor) };
}
