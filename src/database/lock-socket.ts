import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { asObject } from '../json.js';

/** What a process says of the lock for which it listens. */
export type LockState = 'claiming' | 'holding';

/** A process that lives and says nothing for so long is frozen, or too busy to be asked. */
const ANSWER_MS = 5_000;
const RETRY_MS = 20;

/**
 * Listens on a path or a name, and tells whoever connects the state. It does not keep the process alive. Rejects with
 * the system's error.
 */
export async function listenForState(path: string, state: () => LockState): Promise<Server> {
  const server = createServer((socket) => {
    // Who asked may be gone already.
    socket.on('error', () => undefined).unref();
    socket.end(state(), () => socket.destroy());
  });
  server.listen(path).unref();
  await once(server, 'listening');
  // A connection that cannot be accepted, for want of file descriptors for instance, must not end the process.
  return server.on('error', () => undefined);
}

/**
 * The state of whoever listens there; `gone` when nobody does. The kernel accepts connections for a frozen process, so
 * one that gives no answer in time counts as holding, as does one that must not be asked.
 */
export async function askState(path: string): Promise<LockState | 'gone'> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  while (!signal.aborted) {
    try {
      const answer = await text(connect({ path, signal }));
      if (answer === 'claiming' || answer === 'holding') return answer;
    } catch (error) {
      if (hasCode(error, 'ECONNREFUSED') || hasCode(error, 'ENOENT')) return 'gone';
    }
    // It closed while we asked, or its queue is full: what comes next tells.
    await delay(RETRY_MS);
  }
  return 'holding';
}

/** Whether it is a system's error with this code. */
export function hasCode(error: unknown, code: string): boolean {
  return asObject(error)?.['code'] === code;
}
