import { type ChildProcess, spawn } from 'node:child_process';

/** The program in a process of its own, as an operator starts it. */
export interface Run {
  readonly process: ChildProcess;
  /** Its output so far, both streams. */
  readonly output: () => string;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  /** Resolves when the output contains `text`; rejects when the process ends before. */
  until(text: string): Promise<void>;
}

/** Where a server listens, from its ready line; waits for it. */
export async function readyUrl(run: Run): Promise<string> {
  await run.until('"msg":"ready"');
  return /"url":"([^"]+)"[^\n]*"msg":"ready"/.exec(run.output())?.[1] ?? '';
}

/** Compiled code is kept for the next process: a server starts in half the time. */
export const COMPILE_CACHE = { NODE_COMPILE_CACHE: process.env['PROGRAM_CACHE'] ?? '' };

/** Starts `rollup-accounts <args>` with this environment and `PATH` only. */
export function runProgram(args: readonly string[], env: Readonly<Record<string, string>>): Run {
  return runCommand(process.execPath, ['dist/cli/main.js', ...args], { ...COMPILE_CACHE, ...env });
}

/** Starts a command with this environment and `PATH` only; it can be written to through `process.stdin`. */
export function runCommand(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  /** Where it runs, and whether in a process group of its own. */
  options: { readonly cwd?: string; readonly detached?: boolean } = {},
): Run {
  const child = spawn(command, args, { ...options, env: { PATH: process.env['PATH'] ?? '', ...env } });
  let output = '';
  const watchers = new Set<() => void>();
  const read = (chunk: Buffer): void => {
    output += chunk.toString();
    for (const watch of watchers) watch();
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const exited = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  return {
    process: child,
    output: () => output,
    exited,
    until: (text) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          if (!output.includes(text)) return;
          watchers.delete(watch);
          resolve();
        };
        watchers.add(watch);
        watch();
        void exited.then(() => reject(new Error(`exited before "${text}":\n${output}`)));
      }),
  };
}
