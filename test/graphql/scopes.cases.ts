import { readFile } from 'node:fs/promises';
import { type GraphQLSchema, isObjectType } from 'graphql';
import { fieldsByScope } from '../../src/graphql/access.js';
import { createSchema } from '../../src/graphql/schema.js';
import { knownScopes } from '../../src/scope.js';

describe('what each scope unlocks', () => {
  let schema: GraphQLSchema;
  beforeAll(async () => (schema = await createSchema()));

  test('is exactly what the guards of the fields require', () => {
    const types = Object.values(schema.getTypeMap()).filter(isObjectType);
    const guards = types.flatMap((type) =>
      Object.values(type.getFields()).flatMap((field) => {
        const rule = field.extensions['access'] ?? type.extensions['access'];
        const scopes = Array.isArray(rule) ? (rule as string[]) : [];
        return scopes.map((scope) => `${type.name}.${field.name} ${scope}`);
      }),
    );
    const unlocks = [...fieldsByScope(schema)].flatMap(([scope, fields]) =>
      fields.map((field) => `${field} ${scope}`),
    );
    expect(guards.toSorted()).toEqual(unlocks.toSorted());
    expect(guards).toContain('RollupAccount.connectedAccounts connected_accounts');
  });

  test('names known scopes only, because no provider grants another one', () => {
    expect([...fieldsByScope(schema).keys()].filter((scope) => !knownScopes.has(scope))).toEqual([]);
  });

  test('is documented: every scope with its words, every field with its scope', async () => {
    const docs = await readFile('docs/galaxy.md', 'utf8');
    const scopes = [...docs.matchAll(/^\| `(\w+)` +\| ([^|]+?) +\| ([^|]+?) +\|$/gm)];
    expect(scopes.map(([, ...cells]) => cells)).toEqual(
      [...knownScopes].map(([scope, { title, description }]) => [scope, title, description]),
    );
    const fields = [...docs.matchAll(/^\| `(\w+\.\w+)` +\| `(\w+)` +\|/gm)];
    expect(fields.map(([, field, scope]) => `${field} ${scope}`).toSorted()).toEqual(
      [...fieldsByScope(schema)]
        .flatMap(([scope, names]) => names.map((name) => `${name} ${scope}`))
        .toSorted(),
    );
  });
});
