import process from 'node:process';
import { findStale, type Mutation } from './mutation.js';
import { MUTATIONS } from './mutations.js';
import { TreeCopy } from './tree-copy.js';

/**
 * Proves that the tests notice each mutation: first the named tests pass on the sources as they are, then each of them
 * fails with its mutation. A test file that does not even start proves nothing. Arguments choose some of the mutations.
 */
const WORKERS = 2;

type Result = 'killed' | 'survived' | 'not run';

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const words = process.argv.slice(2);
const chosen = Object.entries(MUTATIONS).flatMap(([room, mutations]) =>
  mutations.filter(({ breaks, file }) => isChosen(`${room} ${file} ${breaks}`)),
);
const hasServer = Boolean(process.env['TEST_DATABASE_URL']);
const mutations = chosen.filter(({ needs }) => needs === undefined || hasServer);
stopWith(chosen.flatMap((mutation) => findStale(mutation)));
if (mutations.length === 0) stopWith(['no mutation to run']);

const copies = Array.from({ length: WORKERS }, () => new TreeCopy());
stopWith((await inTurn(groupByTest(mutations), findFailures)).flat());
const results = await inTurn(mutations, judge);

const count = (result: Result): number => results.filter((other) => other === result).length;
const rest = [
  ...(count('not run') > 0 ? [`${count('not run')} not run: the test file did not start`] : []),
  ...(chosen.length > mutations.length ? [`${chosen.length - mutations.length} skipped: no server`] : []),
];
console.log([`${count('killed')} killed, ${count('survived')} survived`, ...rest].join('; '));
process.exitCode = count('killed') === mutations.length ? 0 : 1;

function isChosen(text: string): boolean {
  return words.length === 0 || words.some((word) => text.includes(word));
}

function stopWith(problems: readonly string[]): void {
  if (problems.length === 0) return;
  console.error(problems.join('\n'));
  process.exit(1);
}

/** Runs all jobs, one at a time on each copy. */
async function inTurn<Job, Outcome>(
  jobs: readonly Job[],
  run: (copy: TreeCopy, job: Job) => Promise<Outcome>,
): Promise<Outcome[]> {
  const queue = jobs.values();
  const outcomes: Outcome[] = [];
  await Promise.all(
    copies.map(async (copy) => {
      for (const job of queue) outcomes.push(await run(copy, job));
    }),
  );
  return outcomes;
}

/** Mutations with the same test file on the same database. */
function groupByTest(all: readonly Mutation[]): readonly (readonly Mutation[])[] {
  return [...Map.groupBy(all, ({ test, needs }) => `${test} ${needs}`).values()];
}

/** The titles whose tests do not pass on the sources as they are. */
async function findFailures(copy: TreeCopy, group: readonly Mutation[]): Promise<string[]> {
  const [file] = group;
  if (!file) return [];
  const titles = [...new Set(group.map(({ title }) => title))];
  const tests = await copy.runTests(file, titles);
  return titles.flatMap((title) => {
    const found = tests.filter(({ fullName }) => fullName.includes(title));
    if (found.length === 0) return [`${file.test}: no test with "${title}" ran`];
    return found.every(({ status }) => status === 'passed')
      ? []
      : [`${file.test}: "${title}" fails unmutated`];
  });
}

async function judge(copy: TreeCopy, mutation: Mutation): Promise<Result> {
  const begun = Date.now();
  const tests = await copy.whileMutated(mutation, () => copy.runTests(mutation, [mutation.title]));
  const failed = tests.filter(({ status }) => status === 'failed');
  const result = tests.length === 0 ? 'not run' : failed.length > 0 ? 'killed' : 'survived';
  const seconds = `${((Date.now() - begun) / 1_000).toFixed(1)} s`;
  console.log(`${result.padEnd(9)}${seconds.padStart(8)}  ${mutation.file.padEnd(44)} ${mutation.breaks}`);
  return result;
}
