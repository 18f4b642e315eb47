import { getIntrospectionQuery } from 'graphql';
import { MeDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import type { GraphqlResponse } from '../kit/graphql-client.js';
import { useWorld } from '../kit/hooks.js';
import type { World } from '../kit/world.js';

/** A server with the default limits, and one that accepts large documents, so that the other limits apply. */
type Server = 'default' | 'large';

const LARGE = {
  GRAPHQL_MAX_TOKENS: '100000',
  GRAPHQL_MAX_CHARACTERS: '1000000',
  BODY_LIMIT_BYTES: '2000000',
};
const OVER = {
  depth: 'The depth of the operation is over the limit of 8.',
  aliases: 'The aliases of the operation is over the limit of 15.',
  directives: 'The directives of the operation is over the limit of 50.',
  cost: 'The cost of the operation is over the limit of 500.',
  tokens: 'Syntax Error: Document contains more that 1000 tokens. Parsing aborted.',
  characters: 'The document is longer than 15000 characters.',
};

describe('the limits of documents', () => {
  const worlds: Record<Server, World> = { default: useWorld(), large: useWorld({ env: LARGE }) };
  let token: string;
  beforeEach(async () => ({ token } = await worlds.default.linkPerson()));

  /** `{ __type { fields { type { ofType … name } } } }`, with this depth. */
  const deep = (depth: number): string =>
    `{ __type(name: "User") { fields { type ${'{ ofType '.repeat(depth - 4)} { name } ${'}'.repeat(depth - 4)} } } }`;
  const deepFragments = (depth: number): string =>
    `{ __type(name: "User") { ...T } } fragment T on __Type { fields { ...F } } ` +
    `fragment F on __Field { type ${'{ ofType '.repeat(depth - 4)} { ...N } ${'}'.repeat(depth - 4)} } fragment N on __Type { name }`;
  const deepInline = (depth: number): string =>
    deep(depth)
      .replaceAll('{ ofType', '{ ... { ... on __Type { ofType')
      .replace(/( \})+$/, (end) => `${' } }'.repeat(depth - 4)}${end}`);
  /** `__Type.fields` and `__Field.type` are mutually recursive. */
  const nested = (depth: number): string =>
    `{ __type(name: "User") { ...A } } fragment A on __Type { fields { ...B } } fragment B on __Field { type { ...C } } ` +
    `fragment C on __Type { fields { ...D } } fragment D on __Field { type ${'{ ofType '.repeat(depth - 6)} { name } ${'}'.repeat(depth - 6)} }`;
  const aliased = (count: number): string[] => Array.from({ length: count }, (_, index) => `a${index}:`);
  const rootAliases = (count: number): string => `{ ${aliased(count).join(' __typename ')} __typename }`;
  const nestedAliases = (count: number): string => `{ me { ${aliased(count).join(' id ')} id } }`;
  const mixedAliases = (count: number): string => {
    const [first = '', ...others] = aliased(count);
    return `{ ${first} me { ...U } } fragment U on User { ${others.join(' id ')} id }`;
  };

  test('the introspection query of GraphiQL and of the code generators is within the limits', async () => {
    const { status, errors } = await worlds['default'].ask(
      getIntrospectionQuery({
        specifiedByUrl: true,
        schemaDescription: true,
        inputValueDeprecation: true,
        oneOf: true,
      }),
    );
    expect({ status, errors }).toEqual({ status: 200, errors: [] });
  });

  test('GQL-16 deep introspection exceeds the depth limit', async () => {
    const levels = 25;
    const query = `{ __schema { types { ${'ofType { '.repeat(levels)} name ${'}'.repeat(levels)} } } }`;
    const { status, errors } = await worlds.large.ask(query);
    expect(status).toBe(400);
    expect(errors[0]?.message).toContain('depth');
  });

  test.each([
    ['GQL-02 eight levels', deep(8)],
    ['GQL-03 eight levels through fragments', deepFragments(8)],
    ['GQL-03 eight levels through inline fragments', deepInline(8)],
    ['GQL-03 eight levels of two mutually recursive types', nested(8)],
    ['GQL-04 fifteen aliases', rootAliases(15)],
    ['GQL-04 fifteen nested aliases', nestedAliases(15)],
    ['GQL-04 fifteen aliases in several places', mixedAliases(15)],
    ['GQL-05 a cost of 500', `{ me { ${'id '.repeat(499)} } }`],
    ['GQL-08 fifty directives', `{ ${'__typename @skip(if: false) '.repeat(50)} }`],
    ['GQL-10 240 overlapping selections', `{ ${'me { id } '.repeat(240)} }`],
  ])('%s are executed', async (_title, document) => {
    const { status, errors } = await ask('default', document);
    expect({ status, errors }).toEqual({ status: 200, errors: [] });
  });

  test.each<[string, string, keyof typeof OVER, Server?]>([
    ['GQL-02 nine levels', deep(9), 'depth'],
    ['GQL-02 500 levels', deep(500), 'depth', 'large'],
    ['GQL-02 500 levels, default limits', deep(500), 'tokens'],
    ['GQL-03 nine levels through fragments', deepFragments(9), 'depth'],
    ['GQL-03 nine levels through inline fragments', deepInline(9), 'depth'],
    ['GQL-03 nine levels of two mutually recursive types', nested(9), 'depth'],
    ['GQL-04 16 aliases at the root', rootAliases(16), 'aliases'],
    ['GQL-04 100 aliases at the root', rootAliases(100), 'aliases'],
    ['GQL-04 10 000 aliases at the root', rootAliases(10_000), 'aliases', 'large'],
    ['GQL-04 16 nested aliases', nestedAliases(16), 'aliases'],
    ['GQL-04 100 nested aliases', nestedAliases(100), 'aliases'],
    ['GQL-04 16 aliases in several places', mixedAliases(16), 'aliases'],
    ['GQL-04 100 aliases in several places', mixedAliases(100), 'aliases'],
    ['GQL-04 1000 aliases, default limits', rootAliases(1_000), 'characters'],
    ['GQL-05 one field 20 000 times', `{ me { ${'id '.repeat(20_000)} } }`, 'characters'],
    ['GQL-05 one field 501 times', `{ me { ${'id '.repeat(500)} } }`, 'cost'],
    ['GQL-06 1000 root fields', rootAliases(1_000), 'cost', 'large'],
    ['GQL-07 1001 tokens', `{ ${'__typename '.repeat(999)} }`, 'tokens'],
    ['GQL-07 15 001 characters', `{ __typename }${' '.repeat(15_000 - 13)}`, 'characters'],
    ['GQL-08 51 directives', `{ ${'__typename @skip(if: false) '.repeat(51)} }`, 'directives'],
    ['GQL-09 a fan-out of 2^10', fanOut(10), 'cost'],
    ['GQL-10 3000 overlapping selections', `{ ${'me { id } '.repeat(3_000)} }`, 'characters'],
    ['GQL-10 300 overlapping selections', `{ ${'me { id } '.repeat(300)} }`, 'cost', 'large'],
    ['GQL-14 1000 operations', operations(1_000), 'characters'],
    ['GQL-14 300 operations', operations(300), 'tokens'],
  ])('%s are rejected before execution', async (_title, document, limit, server = 'default') => {
    const before = worlds[server].statements.length;
    const { status, errors, data } = await ask(server, document);
    expect({ status, data }).toEqual({ status: 400, data: undefined });
    expect(errors.map(({ message }) => message)).toContain(OVER[limit]);
    expect(worlds[server].statements).toHaveLength(before);
  });

  test.each<[string, string, Server?]>([
    ['GQL-08 5000 × @skip', `{ __typename ${'@skip(if: false) '.repeat(5_000)} }`, 'large'],
    ['GQL-08 5000 × an unknown directive', `{ __typename ${'@aa '.repeat(5_000)} }`, 'large'],
    ['GQL-08 5000 unknown fields', `{ ${fields(5_000)} }`, 'large'],
    ['GQL-08 5000 unknown fields, default limits', `{ ${fields(5_000)} }`],
    ['GQL-09 a fan-out of 2^30', fanOut(30)],
    ['GQL-09 a cycle', '{ me { ...A } } fragment A on User { ...B } fragment B on User { ...A }'],
    ['GQL-09 10 000 unused fragments', unused(10_000), 'large'],
    ['GQL-09 500 unused fragments, default limits', unused(500)],
    ['GQL-10 many overlapping selections with different arguments', different(80)],
    ['GQL-11 a list literal nested 20 000 deep', scopes(`${'['.repeat(20_000)}${']'.repeat(20_000)}`)],
    ['GQL-11 a list literal nested 7000 deep', scopes(`${'['.repeat(7_000)}${']'.repeat(7_000)}`)],
    ['GQL-11 an object literal nested 3000 deep', scopes(`${'{a:'.repeat(3_000)}1${'}'.repeat(3_000)}`)],
    ['GQL-14 two operations and no name', operations(2)],
  ])('%s: a short response with at most ten errors', async (_title, document, server = 'default') => {
    const { status, errors, data, text } = await ask(server, document);
    expect({ status, data }).toEqual({ status: 400, data: undefined });
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.length).toBeLessThanOrEqual(10);
    expect(text.length).toBeLessThanOrEqual(10_000);
    expect(text).not.toContain('INTERNAL_SERVER_ERROR');
  });

  test('GQL-11 variables nested 20 000 deep are rejected with a neutral message, and the server survives', async () => {
    const response = await fetch(`${worlds['default'].app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: `{"query":${JSON.stringify(scopes('$scopes', '($scopes: [String!]!)'))},"variables":{"scopes":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`,
    });
    const text = await response.text();
    expect(response.status).toBe(400);
    expect(text).toContain('BAD_USER_INPUT');
    expect(text.length).toBeLessThanOrEqual(1_000);
    expect((await ask('default', MeDocument)).status).toBe(200);
  });

  test.each([1e9, -1, 2 ** 31, 1.5, '10'])(
    'GQL-12 minTtlSeconds %p is rejected, and the provider is not called',
    async (minTtlSeconds) => {
      const world = worlds['default'];
      const variables = { input: { minTtlSeconds: minTtlSeconds as number } };
      const { codes } = await world.ask(RenewAccessTokenDocument, variables, { token });
      expect(codes).toEqual(['BAD_USER_INPUT']);
      expect(world.rollup.calls.refresh).toBe(0);
    },
  );

  function ask(server: Server, document: string | { toString(): string }): Promise<GraphqlResponse<unknown>> {
    const world = worlds[server];
    return world.ask(document.toString(), {}, server === 'default' ? { token } : {});
  }

  function fanOut(levels: number): string {
    const fragments = Array.from(
      { length: levels },
      (_, level) => `fragment F${level} on User { ...F${level + 1} ...F${level + 1} }`,
    );
    return `{ me { ...F0 } } ${fragments.join(' ')} fragment F${levels} on User { id }`;
  }

  function fields(count: number): string {
    return Array.from({ length: count }, (_, index) => `unknown${index}`).join(' ');
  }

  function unused(count: number): string {
    return `{ __typename } ${Array.from({ length: count }, (_, index) => `fragment F${index} on User { id }`).join(' ')}`;
  }

  function different(count: number): string {
    return `{ ${Array.from({ length: count }, (_, index) => `__type(name: "T${index}") { name }`).join(' ')} }`;
  }

  function operations(count: number): string {
    return Array.from({ length: count }, (_, index) => `query Q${index} { __typename }`).join(' ');
  }

  function scopes(value: string, variables = ''): string {
    return `mutation ${variables} { startRollupLink(input: { redirectUri: "", scopes: ${value} }) { state } }`;
  }
});
