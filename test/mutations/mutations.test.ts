import { findStale, findTestFile, type Mutation } from './mutation.js';
import { MUTATIONS } from './mutations.js';

describe('the list of mutations', () => {
  test('fits the sources and the tests: every text to replace occurs exactly once, every title exists', () => {
    expect(
      Object.values(MUTATIONS)
        .flat()
        .flatMap((mutation) => findStale(mutation)),
    ).toEqual([]);
  });

  test('names each mutation once', () => {
    const names = Object.values(MUTATIONS)
      .flat()
      .map(({ file, breaks }) => `${file}: ${breaks}`);
    expect(names).toEqual([...new Set(names)]);
  });
});

describe('an entry is stale', () => {
  const mutation: Mutation = {
    breaks: 'nothing',
    file: 'src/errors.ts',
    from: 'class ConfigError ',
    to: '',
    test: 'test/mutations/mutations.test.ts',
    title: 'when its',
  };

  test.each<[string, Partial<Mutation>]>([
    ['text is gone', { from: 'no such text' }],
    ['text occurs twice', { from: 'extends' }],
    ['text is not changed', { to: mutation.from }],
    ['source file is gone', { file: 'src/gone.ts' }],
    ['test file is gone', { test: 'test/gone.test.ts' }],
    ['cases are imported by no test file', { test: 'test/mutations/gone.cases.ts' }],
    ['title is gone', { title: 'x'.repeat(20) }],
  ])('when its %s', (_title, change) => {
    expect(findStale(mutation)).toEqual([]);
    expect(findStale({ ...mutation, ...change })).not.toEqual([]);
  });
});

test('the cases of a family are run by the file that imports them', () => {
  expect(findTestFile('test/vault/key-ring.cases.ts')).toBe('test/vault/vault.test.ts');
  expect(findTestFile('test/vault/gone.cases.ts')).toBeUndefined();
});
