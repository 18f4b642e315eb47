import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

/**
 * A small change of one source file that breaks a promise, and the test that must fail with it. `npm run mutate` makes
 * each change in a copy of the tree and runs its test; `npm run mutate -- vault claim` only those whose room, file or
 * `breaks` contains one of the words.
 *
 * Each room of `src` has a list of its own beside this file; `mutations.ts` names them all.
 */
export interface Mutation {
  /** What goes wrong, in a few words. */
  readonly breaks: string;
  /** The file to change, from the root of the repository. */
  readonly file: `src/${string}`;
  /** The text to replace, which occurs exactly once in the file. It may span lines. */
  readonly from: string;
  readonly to: string;
  /** The file of the test that must fail, from the root of the repository; also one that another file imports. */
  readonly test: `test/${string}.${'test' | 'cases'}.ts`;
  /** A part of that test's title, as it is written in the file: without a placeholder, and not across a quote. */
  readonly title: string;
  /** Run the test on the server of `TEST_DATABASE_URL`; without one the mutation is skipped. */
  readonly needs?: 'postgres';
}

/** Why an entry no longer fits the files below `root`; empty when it does. */
export function findStale({ file, from, to, test, title }: Mutation, root = '.'): string[] {
  const source = read(`${root}/${file}`);
  const found = source.split(from).length - 1;
  return [
    ...(found === 1 ? [] : [`${file} has ${found} times: ${from}`]),
    ...(from === to ? [`${file} is not changed: ${from}`] : []),
    ...(read(`${root}/${test}`).includes(title) ? [] : [`${test} has no title with: ${title}`]),
    ...(findTestFile(test, root) === undefined ? [`${test} is in no test file`] : []),
  ];
}

/** The file that jest runs for a test: its own, or the one that imports it. */
export function findTestFile(test: string, root = '.'): string | undefined {
  if (test.endsWith('.test.ts')) return test;
  const importing = `/${basename(test, '.ts')}.js';`;
  const files = globSync('test/**/*.test.ts', { cwd: root });
  return files.find((file) => read(`${root}/${file}`).includes(importing));
}

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
