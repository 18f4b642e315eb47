import { hasCode, listenForState } from './lock-socket.js';

/**
 * Locks a name that the kernel gives to one listener, and frees when its process is gone: a named pipe on Windows.
 * Resolves with the release; with undefined when somebody has it. Rejects with the system's error.
 */
export async function lockName(name: string): Promise<(() => void) | undefined> {
  try {
    const server = await listenForState(name, () => 'holding');
    return () => void server.close();
  } catch (error) {
    if (hasCode(error, 'EADDRINUSE')) return undefined;
    throw error;
  }
}
