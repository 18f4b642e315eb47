import { readFile } from 'node:fs/promises';
import {
  buildSchema,
  type ConstDirectiveNode,
  getNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
  isObjectType,
  Kind,
  type ObjectTypeDefinitionNode,
  parse,
  print,
} from 'graphql';
import { guardSchema } from '../../src/graphql/access.js';
import { createSchema } from '../../src/graphql/schema.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import {
  LinkRollupAccountDocument,
  MeDocument,
  RenewAccessTokenDocument,
  UnlinkRollupAccountDocument,
} from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

const OWNED = ['User', 'RollupAccount'];

describe('the schema', () => {
  let schema: GraphQLSchema;
  let printed: Awaited<ReturnType<typeof readPrinted>>;
  beforeAll(async () => {
    schema = await createSchema();
    printed = await readPrinted();
  });

  test('has an access rule for every field', () => {
    const fields = objectTypes(schema).flatMap((type) =>
      Object.values(type.getFields()).map((field) => ({
        field: `${type.name}.${field.name}`,
        rule: field.extensions['access'] ?? type.extensions['access'],
      })),
    );
    expect(fields.length).toBeGreaterThan(30);
    const isRule = (rule: unknown): boolean =>
      rule === 'public' || rule === 'authenticated' || (Array.isArray(rule) && rule.length > 0);
    expect(fields.filter(({ rule }) => !isRule(rule))).toEqual([]);
  });

  test('requires authentication for every field of owned types', () => {
    const owned = objectTypes(schema).filter(({ name }) => OWNED.includes(name));
    const rules = owned.flatMap((type) =>
      Object.values(type.getFields()).map((field) => field.extensions['access'] ?? type.extensions['access']),
    );
    expect(owned).toHaveLength(OWNED.length);
    expect(rules).not.toContain('public');
  });

  test('is rejected with a field without an access rule', () => {
    expect(() => guardSchema(buildSchema('type Query { open: Int }'))).toThrow(
      'Query.open does not declare who may select it',
    );
  });

  test('prints exactly the directives of the access rules', () => {
    const inRules: Record<string, string> = {};
    for (const type of objectTypes(schema)) {
      inRules[type.name] = directiveOf(type.extensions['access']);
      for (const field of Object.values(type.getFields())) {
        inRules[`${type.name}.${field.name}`] = directiveOf(field.extensions['access']);
      }
    }
    const inText: Record<string, string> = {};
    for (const { name, directives, fields = [] } of printed.types) {
      inText[name.value] = accessOf(directives);
      for (const field of fields) inText[`${name.value}.${field.name.value}`] = accessOf(field.directives);
    }
    expect(inText).toEqual(inRules);
    expect(inText).toMatchObject({
      User: '@authenticated',
      'User.email': '@requiresScopes(scopes: [["email"]])',
    });
  });

  test('defines the directives as Apollo Federation does', () => {
    const definitions = printed.definitions.flatMap((definition) =>
      definition.kind === Kind.DIRECTIVE_DEFINITION ? [definition] : [],
    );
    const signatures = definitions.map(({ name, arguments: args = [], repeatable }) => [
      name.value,
      args.map((argument) => print(argument)),
      repeatable,
    ]);
    expect(signatures).toEqual(
      expect.arrayContaining([
        ['authenticated', [], false],
        ['requiresScopes', ['scopes: [[federation__Scope!]!]!'], false],
      ]),
    );
    const federation = ['FIELD_DEFINITION', 'OBJECT', 'INTERFACE', 'SCALAR', 'ENUM'];
    const locations = definitions.flatMap((definition) => definition.locations.map(({ value }) => value));
    expect(federation).toEqual(expect.arrayContaining(locations));
    expect(printed.definitions).toContainEqual(
      expect.objectContaining({
        kind: Kind.SCALAR_TYPE_DEFINITION,
        name: expect.objectContaining({ value: 'federation__Scope' }) as unknown,
      }),
    );
  });

  test('GQL-27 reaches owned types only by the paths that are tested here', () => {
    expect(pathsToOwned(schema)).toEqual([
      'Mutation.linkRollupAccount.account',
      'Mutation.linkRollupAccount.user',
      'Mutation.renewAccessToken.account',
      'Query.me',
      'User.rollupAccounts',
    ]);
  });
});

describe('over HTTP', () => {
  const world = useWorld();
  let owner: Person;
  let other: Person;
  let token: string;
  let accountId: string;
  let otherToken: string;
  beforeEach(async () => {
    [owner, other] = world.people;
    ({ token, accountId } = await world.linkPerson(owner));
    ({ token: otherToken } = await world.linkPerson(other));
  });

  test('GQL-27 me is the caller, and discloses no other user', async () => {
    expect((await world.ask(MeDocument)).data).toEqual({ me: null });
    const [mine, theirs] = [
      await world.ask(MeDocument, {}, { token }),
      await world.ask(MeDocument, {}, { token: otherToken }),
    ];
    expect(mine.text).toContain(owner.sub);
    expect(theirs.text).toContain(other.sub);
    for (const secret of [accountId, owner.sub, owner.email]) expect(theirs.text).not.toContain(secret);
  });

  test('GQL-27 a renewal by an anonymous caller is rejected, and by another user finds no account', async () => {
    const anonymous = await world.ask(RenewAccessTokenDocument, { input: { accountId } });
    expect(anonymous.codes).toEqual(['UNAUTHENTICATED']);
    expect(anonymous).toMatchObject({ status: 401, data: null });
    const another = await world.ask(
      RenewAccessTokenDocument,
      { input: { accountId } },
      { token: otherToken },
    );
    expect(another.data.renewAccessToken).toEqual({
      accessToken: null,
      accessTokenExpiresAt: null,
      account: null,
      userErrors: [expect.objectContaining({ code: 'ACCOUNT_NOT_FOUND' })],
    });
  });

  test('GQL-27 an unlink by another user finds no account and changes nothing', async () => {
    const another = await world.ask(
      UnlinkRollupAccountDocument,
      { input: { accountId } },
      { token: otherToken },
    );
    expect(another.data.unlinkRollupAccount.userErrors).toMatchObject([{ code: 'ACCOUNT_NOT_FOUND' }]);
    expect((await world.ask(MeDocument, {}, { token })).text).toContain(accountId);
  });

  test.each(['an anonymous caller', 'another user'])(
    "GQL-27 the owner's link returns nothing to %s",
    async (caller) => {
      const { input } = await world.approve(owner, { scopes: ['openid'], token });
      const callerToken = caller === 'an anonymous caller' ? undefined : otherToken;
      const { data } = await world.ask(LinkRollupAccountDocument, { input }, { token: callerToken });
      const { userErrors, ...rest } = data.linkRollupAccount;
      expect(userErrors).toMatchObject([{ code: 'LINK_NOT_FOUND' }]);
      expect(new Set(Object.values(rest))).toEqual(new Set([null]));
    },
  );

  test('an anonymous link returns what the linked token allows', async () => {
    const { errors, data } = await linkWith(['openid', 'profile', 'email']);
    expect(errors).toEqual([]);
    expect(data.linkRollupAccount.user).toMatchObject({ name: owner.name, email: owner.email });
    expect(data.linkRollupAccount.account?.sub).toBe(owner.sub);
  });

  test.each([
    [['openid'], ['email', 'name', 'picture'], undefined],
    [['openid', 'email'], ['name', 'picture'], undefined],
    [['openid', 'profile'], ['email'], undefined],
    [['openid'], ['email', 'name', 'picture'], 'token'],
  ])('a link with %j forbids %j in its response, signed in with: %s', async (scopes, forbidden, signedIn) => {
    const { status, errors, data } = await linkWith(scopes, signedIn && token);
    expect(status).toBe(403);
    expect(
      errors.map(({ path, extensions }) => `${path?.at(-1)} ${String(extensions['code'])}`).toSorted(),
    ).toEqual(forbidden.map((field) => `${field} FORBIDDEN`));
    for (const field of forbidden) expect(data.linkRollupAccount.user).toHaveProperty(field, null);
    expect(data.linkRollupAccount.account?.sub).toBe(owner.sub);
  });

  async function linkWith(scopes: readonly string[], signedIn?: string) {
    world.rollup.revoke(owner);
    const { input } = await world.approve(owner, { scopes, token: signedIn });
    return world.ask(LinkRollupAccountDocument, { input }, { token: signedIn });
  }
});

function objectTypes(schema: GraphQLSchema): GraphQLObjectType[] {
  return Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .filter(({ name }) => !name.startsWith('__'));
}

/** Every field that returns an owned type; a field of a payload as the path from its mutation. */
function pathsToOwned(schema: GraphQLSchema): string[] {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});
  return objectTypes(schema)
    .flatMap((type) =>
      Object.values(type.getFields())
        .filter((field) => OWNED.includes(getNamedType(field.type).name))
        .flatMap((field) => {
          const leading = mutations.filter((mutation) => getNamedType(mutation.type) === type);
          const owners = leading.map(({ name }) => `Mutation.${name}`);
          return (owners.length > 0 ? owners : [type.name]).map((owner) => `${owner}.${field.name}`);
        }),
    )
    .toSorted();
}

async function readPrinted() {
  const { definitions } = parse(await readFile('schema/schema.graphql', 'utf8'), { noLocation: true });
  const types = definitions.filter(
    (definition): definition is ObjectTypeDefinitionNode => definition.kind === Kind.OBJECT_TYPE_DEFINITION,
  );
  return { definitions, types };
}

function accessOf(directives: readonly ConstDirectiveNode[] = []): string {
  return directives.map((directive) => print(directive)).join(' ');
}

function directiveOf(rule: unknown): string {
  if (rule === undefined || rule === 'public') return '';
  if (rule === 'authenticated') return '@authenticated';
  return `@requiresScopes(scopes: ${JSON.stringify([rule])})`;
}
