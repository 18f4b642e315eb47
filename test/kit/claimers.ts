import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** What became of a claim: `holding`, or the message of the error; and the number by which its process knows itself. */
interface Claim {
  readonly outcome: string;
  readonly pid: number;
}

/** A process that claims data directories when it is told to. */
export interface Claimer {
  readonly process: ChildProcess;
  claim(directory: string): Promise<Claim>;
  release(): Promise<unknown>;
  /** Kills it, and waits until it is gone. */
  kill(): Promise<void>;
}

/** Runs a command as process 1 of a namespace of its own, and kills it with this command. */
export const AS_PROCESS_1 = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;

/** Runs a command with mounts of its own, after one of a file system for message queues on a directory. */
export function onMessageQueues(directory: string): readonly string[] {
  return ['unshare', '--mount', '--ipc', 'sh', '-c', 'mount -t mqueue none "$0" && exec "$@"', directory];
}

/** Starts a process; `inside` is a command that runs another one, in a namespace for instance. */
export function startClaimer(inside: readonly string[] = []): Claimer {
  const [command, ...args] = [...inside, process.execPath, 'test/kit/claimer.mjs'];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const gone = once(child, 'exit');
  const tell = async (message: { readonly claim?: string }): Promise<Claim> => {
    const reply = once(child, 'message');
    child.send(message);
    const ended = gone.then(() => Promise.reject(new Error('the process ended before it replied')));
    const [claim] = (await Promise.race([reply, ended])) as [Claim];
    return claim;
  };
  return {
    process: child,
    claim: (directory) => tell({ claim: directory }),
    release: () => tell({}),
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
}
