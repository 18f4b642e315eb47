import type { CheckResult } from '../../src/cli/doctor/check.js';
import { runProgram } from './processes.js';

/** What `rollup-accounts doctor` said. */
export interface Diagnosis {
  readonly exitCode: number | string;
  /** Standard output, as a person gets it. */
  readonly text: string;
  /** Both streams. */
  readonly output: string;
  /** The line about one check, without its padding; undefined when there is none. */
  readonly line: (name: string) => string | undefined;
  /** The lines of the checks that failed, without their padding. */
  readonly failures: readonly string[];
}

/** The document of `rollup-accounts doctor --json`. */
export interface JsonDiagnosis {
  readonly ok: boolean;
  readonly checks: readonly CheckResult[];
}

/** Runs `rollup-accounts doctor` with this environment. */
export async function runDoctor(
  env: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<Diagnosis> {
  const run = runProgram(['doctor', ...args], env);
  let text = '';
  run.process.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const exitCode = await run.exited;
  const lines = text.split('\n').map((line) => line.replaceAll(/ {2,}/g, '  '));
  return {
    exitCode,
    text,
    output: run.output(),
    line: (name) => lines.find((line) => line.split('  ')[1]?.trim() === name),
    failures: lines.filter((line) => line.startsWith('FAILED')),
  };
}
