import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of a program of this machine; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  return directories.map((directory) => join(directory, name)).find((path) => existsSync(path));
}

/** `describe`, for tests that need this program: counted as skipped where it is not installed. */
export function describeWith(program: string): typeof describe {
  return findProgram(program) === undefined ? describe.skip : describe;
}
