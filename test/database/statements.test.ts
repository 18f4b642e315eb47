import { globSync, readFileSync } from 'node:fs';

/** What is called on an entity manager, other than to get another one. */
const USE = /\b(?:em|tx|fork\(\))\??\.(?!fork\b|transactional\b)\w+/g;
/** What sends statements, on whatever. */
const SEND = /\.(?:execute|native\w+|findOne\w*|flush|persist\w*|upsert\w*|createQueryBuilder)\(/g;

test('VLT-60 statements are in repositories and in the room of the database only, where each is looked at', () => {
  const paths = globSync('src/**/*.ts', { exclude: ['src/**/*.repository.ts', 'src/database/**'] });
  expect(paths).toContain('src/accounts/account-linking.ts');
  expect(paths.flatMap((path) => findStatements(path, readFileSync(path, 'utf8')))).toEqual([]);
});

test.each([
  ['await tx.execute(`select 1`);'],
  ['const rows = await em.fork().find(User, {});'],
  ['return this.#deps.em.count(User);'],
  ['await manager.nativeDelete(User, {});'],
])('VLT-60 a statement elsewhere is found: %s', (line) => {
  expect(findStatements('any.ts', line)).not.toEqual([]);
});

test.each([
  ['await em.fork().transactional((tx) => lockUser(tx, id));'],
  ['const person = people.find(({ sub }) => sub === wanted);'],
])('VLT-60 what is no statement is not: %s', (line) => {
  expect(findStatements('any.ts', line)).toEqual([]);
});

function findStatements(path: string, source: string): string[] {
  return [...source.matchAll(USE), ...source.matchAll(SEND)].map(([call]) => `${path}: ${call}`);
}
