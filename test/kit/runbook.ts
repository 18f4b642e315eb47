import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { COMPILE_CACHE, type Run, runCommand, runProgram } from './processes.js';

/** What a command ended with. */
export interface Done {
  readonly code: number | string;
  /** Both streams. */
  readonly output: string;
}

type Env = Readonly<Record<string, string>>;

const PAGE = 'docs/operating.md';
const PROGRAM = `'${process.execPath}' '${resolve('dist/cli/main.js')}'`;
/** A block of commands, or a setting in a sentence. */
const STEPS = /^ *```sh\n([\s\S]*?)^ *```$|`([A-Z][A-Z_]*=[^`\n]+)`/gm;

/**
 * The commands and settings that docs/operating.md has below this heading, in their order. A test takes one after the
 * other, so that it does what the document says.
 *
 * @param values what the document leaves out: entries of `TOKEN_KEYS` by kid, other settings by name.
 */
export function openRunbook(title: string, values: Env = {}) {
  const steps = readSteps(title);
  const take = (beginning: string): string => {
    const step = steps.shift() ?? '';
    if (step.startsWith(beginning)) return step;
    throw new Error(`the next step of "${title}" is not "${beginning} …" but "${step}"`);
  };
  return {
    /** The next step, a command that begins so. */
    command: (beginning: string): string => take(beginning),
    /** The next step, a command of the program, run to its end. */
    run: (command: string, env: Env): Promise<Done> => runLine(take(`npx rollup-accounts ${command}`), env),
    /** The next step, a setting of this name, with values in place of the dots. */
    setting: (name: string): Env => {
      const text = take(`${name}=`).slice(name.length + 1);
      const value = (_dots: string, kid?: string): string => values[kid ?? name] ?? '';
      return { [name]: text.replaceAll(/(?:([\w.-]+):)?…/g, value) };
    },
    /** What was not taken. */
    left: (): readonly string[] => steps,
  };
}

/** Runs a line of a document to its end, in a shell with this environment. */
export function runLine(line: string, env: Env, cwd = '.'): Promise<Done> {
  return endOf(runCommand('sh', ['-c', `exec ${withProgram(line)}`], { ...COMPILE_CACHE, ...env }, { cwd }));
}

/** Starts it on a terminal, by `script` of util-linux. */
export function startOnTerminal(line: string, env: Env): Run {
  const settings = { TERM: 'xterm', SHELL: '/bin/sh', ...env };
  return runCommand('script', ['-qec', `exec ${withProgram(line)}`, '/dev/null'], settings);
}

/** Starts a server that is to be refused, and waits for its end; one that starts all the same is ended. */
export function startRefused(env: Env): Promise<Done> {
  const run = runProgram(['serve'], env);
  run.until('"msg":"ready"').then(
    () => run.process.kill('SIGKILL'),
    () => undefined,
  );
  return endOf(run);
}

/** Waits for the end of a command. */
export async function endOf(run: Run): Promise<Done> {
  return { code: await run.exited, output: run.output() };
}

function withProgram(line: string): string {
  return line.replace(/^npx rollup-accounts /, `${PROGRAM} `);
}

function readSteps(title: string): string[] {
  const sections = readFileSync(PAGE, 'utf8').split(/^(?=#{2,3} )/m);
  const section = sections.find((text) => text.startsWith(`### ${title}\n`)) ?? '';
  return [...section.matchAll(STEPS)].flatMap(([, block, setting = '']) =>
    (block ?? setting)
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  );
}
