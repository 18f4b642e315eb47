import { readFile } from 'node:fs/promises';
import { isObjectType } from 'graphql';
import { createSchema } from '../../src/graphql/schema.js';
import { knownScopes } from '../../src/scope.js';

/** `field scope` for each pair of the table of known scopes. */
const table = [...knownScopes].flatMap(([scope, { unlocks }]) => unlocks.map((field) => `${field} ${scope}`));

describe('the table of scopes', () => {
  test('says of the schema exactly what its guards say', async () => {
    const types = Object.values((await createSchema()).getTypeMap()).filter(isObjectType);
    const guards = types.flatMap((type) =>
      Object.values(type.getFields()).flatMap((field) => {
        const rule = field.extensions['access'] ?? type.extensions['access'];
        const scopes = Array.isArray(rule) ? (rule as string[]) : [];
        return scopes.map((scope) => `${type.name}.${field.name} ${scope}`);
      }),
    );
    expect(guards.toSorted()).toEqual(table.toSorted());
    expect(guards).toContain('RollupAccount.connectedAccounts connected_accounts');
  });

  test('is the table of the README', async () => {
    const readme = await readFile('README.md', 'utf8');
    const section = readme.split(/^## What the consent unlocks: Galaxy$/m)[1]?.split(/^## /m)[0] ?? '';
    const rows = section.split('\n').flatMap((line) => {
      const [, scope, title, unlocks = ''] = /^\| `(\w+)` +\| ([^|]+?) +\| (.*?) *\|$/.exec(line) ?? [];
      return scope === undefined ? [] : [{ scope, title, unlocks: unlocks.match(/\w+\.\w+/g) ?? [] }];
    });
    expect(rows).toEqual([...knownScopes].map(([scope, { title, unlocks }]) => ({ scope, title, unlocks })));
  });
});
