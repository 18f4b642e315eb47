import { cpSync } from 'node:fs';
import { delimiter, resolve, sep } from 'node:path';
import { type Run, runCommand } from './processes.js';

/** The root of the repository, where tests run. */
export const ROOT = resolve('.');

/** For tests that install: a quiet machine needs a tenth of it, but it may be busy. */
export const INSTALL_LIMIT_MS = 600_000;

/** What installs and builds make, and what only git needs. */
const NOT_CLONED = new Set(['.data', '.git', 'dist', 'node_modules', 'test']);

/** Copies into `directory` what a fresh clone has, without its tests and without git. */
export function copyClone(directory: string): void {
  cpSync(ROOT, directory, {
    recursive: true,
    filter: (path) => !NOT_CLONED.has(path.slice(ROOT.length + 1).split(sep)[0] ?? ''),
  });
}

/** The environment of a person at this machine: without what `npm test` adds to it, and with the cache of npm. */
export const MACHINE = {
  PATH: (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((path) => !path.includes('node_modules'))
    .join(delimiter),
  HOME: process.env['HOME'] ?? '',
  npm_config_prefer_offline: 'true',
};

/** Runs commands as at a shell. Whatever is left of them after a test is ended. */
export function useCommands() {
  const runs: Run[] = [];
  afterEach(() => {
    for (const run of runs.splice(0)) if (hasLeftovers(run)) signalGroup(run, 'SIGKILL');
  });
  const start = (
    cwd: string,
    command: string | readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Run => {
    const [program = '', ...args] = typeof command === 'string' ? command.split(' ') : command;
    const run = runCommand(program, args, { ...MACHINE, ...env }, { cwd, detached: true });
    runs.push(run);
    return run;
  };
  return {
    /** Starts a command in a directory, in a process group of its own. */
    start,
    /** Runs a command in a directory, and resolves with its output. Rejects unless it exits with 0. */
    run: async (...args: Parameters<typeof start>): Promise<string> => {
      const run = start(...args);
      const code = await run.exited;
      if (code !== 0) throw new Error(`${String(args[1])} exited with ${code}:\n${run.output()}`);
      return run.output();
    },
  };
}

/** Signals a process and everything that it started, as a terminal does. */
export function signalGroup({ process: { pid = 0 } }: Run, signal: NodeJS.Signals): void {
  process.kill(-pid, signal);
}

/** Whether anything is left of the process group that `run` began. */
export function hasLeftovers({ process: { pid = 0 } }: Run): boolean {
  try {
    return process.kill(-pid, 0);
  } catch {
    return false;
  }
}
