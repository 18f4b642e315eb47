import { readFileSync } from 'node:fs';
import process from 'node:process';

/**
 * Adds up the JSON reports of several runs of jest. The last line is `N passed, N failed`. Exits with 1 when a test
 * failed, a file did not run, or a test was skipped in every run that has it.
 */
const runs = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, 'utf8')));
const sum = (count) => runs.reduce((total, run) => total + run[count], 0);
const failed = sum('numFailedTests') + sum('numRuntimeErrorTestSuites');
const tests = runs.flatMap((run) =>
  run.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ fullName, status }) => ({ test: `${name}: ${fullName}`, status })),
  ),
);
const ran = new Set(
  tests.filter(({ status }) => status === 'passed' || status === 'failed').map(({ test }) => test),
);
const neverRan = new Set(tests.map(({ test }) => test).filter((test) => !ran.has(test)));
for (const test of neverRan) process.stdout.write(`never ran: ${test}\n`);
process.stdout.write(`${sum('numPassedTests')} passed, ${failed + neverRan.size} failed\n`);
process.exit(failed + neverRan.size > 0 || ran.size === 0 ? 1 : 0);
