import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { useDirectory } from './hooks.js';
import { findUnexecuted } from './statement-coverage.js';

const directory = useDirectory();

test('without a report every repository has statements that no process carried out', () => {
  const found = findUnexecuted(directory).join('\n');
  for (const path of globSync('dist/**/*.repository.js')) expect(found).toContain(path);
});

test('a function that one process ran and another did not was carried out', () => {
  const path = 'dist/accounts/user.repository.js';
  const source = readFileSync(path, 'utf8');
  const whole = { functionName: '', ranges: [{ startOffset: 0, endOffset: source.length, count: 1 }] };
  const report = (name: string, unexecuted: readonly string[]): void => {
    const functions = unexecuted.map((functionName) => {
      const startOffset = source.indexOf(`async function ${functionName}`);
      const endOffset = source.indexOf('\n}', startOffset);
      return { functionName, ranges: [{ startOffset, endOffset, count: 0 }] };
    });
    const url = pathToFileURL(resolve(path)).href;
    writeFileSync(
      join(directory, name),
      JSON.stringify({ result: [{ url, functions: [whole, ...functions] }] }),
    );
  };
  report('first.json', ['findUsersBySub', 'lockUser']);
  report('second.json', ['findUsersBySub', 'deleteUnreachableUser']);
  const found = findUnexecuted(directory).filter((line) => line.startsWith(path));
  expect(found).toEqual([expect.stringMatching(/user\.repository\.js:\d+ async function findUsersBySub\(/)]);
});
