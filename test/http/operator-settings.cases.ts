import { useWorld } from '../kit/hooks.js';
import { connectRaw } from '../kit/network.js';

const HEADER_BYTES = 2_048;

/** Each differs from its default, and a document can reach it without another one. */
const LIMITS = {
  GRAPHQL_MAX_DEPTH: 5,
  GRAPHQL_MAX_ALIASES: 3,
  GRAPHQL_MAX_DIRECTIVES: 2,
  GRAPHQL_MAX_COST: 20,
  GRAPHQL_MAX_TOKENS: 60,
  GRAPHQL_MAX_CHARACTERS: 400,
};

/** Documents of exactly this size. */
const documents: Record<keyof typeof LIMITS, (size: number) => string> = {
  GRAPHQL_MAX_DEPTH: (size) =>
    `{ __type(name: "User") { fields { type ${'{ ofType '.repeat(size - 4)}{ name ${'} '.repeat(size)}`,
  GRAPHQL_MAX_ALIASES: (size) => `{ ${list(size, (index) => `a${index}: __typename`)} }`,
  GRAPHQL_MAX_DIRECTIVES: (size) => `{ ${list(size, () => '__typename @skip(if: false)')} }`,
  GRAPHQL_MAX_COST: (size) => `{ ${list(size, () => '__typename')} }`,
  GRAPHQL_MAX_TOKENS: (size) => {
    const levels = Math.floor(size / 3) - 1;
    return `{ ${'... { '.repeat(levels)}${list(size - 2 - 3 * levels, () => '__typename')}${' }'.repeat(levels)} }`;
  },
  GRAPHQL_MAX_CHARACTERS: (size) => '{ __typename }'.padEnd(size),
};

describe('the setting of an operator', () => {
  const world = useWorld({
    env: {
      ...Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, String(limit)])),
      HTTP_MAX_HEADER_BYTES: String(HEADER_BYTES),
      ROLLUP_SCOPES: ' openid, custom:read ,',
    },
  });

  test.each(Object.entries(LIMITS))('%s = %d: as much is accepted, one more is not', async (name, limit) => {
    const document = documents[name as keyof typeof LIMITS];
    const accepted = await world.ask(document(limit));
    expect([accepted.status, accepted.errors]).toEqual([200, []]);
    const rejected = await world.ask(document(limit + 1));
    expect([rejected.status, rejected.errors.length]).toEqual([400, 1]);
    expect(rejected.errors[0]?.message).toMatch(new RegExp(String.raw`\b${limit}\b`));
  });

  test('HTTP_MAX_HEADER_BYTES: headers of less are accepted, of more are 431', async () => {
    const statusWith = async (bytes: number): Promise<number | undefined> => {
      const connection = await connectRaw(world.app.url);
      const [response] = await connection.send([
        `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(bytes)}\r\n\r\n`,
      ]);
      connection.close();
      return response?.status;
    };
    expect([await statusWith(HEADER_BYTES - 200), await statusWith(HEADER_BYTES)]).toEqual([200, 431]);
  });

  test.each([
    [['openid'], []],
    [['openid', 'custom:read'], []],
    [['openid', 'profile'], ['SCOPE_NOT_ALLOWED']],
    [[''], ['SCOPE_NOT_ALLOWED']],
  ])('ROLLUP_SCOPES: a link with %j gets %j', async (scopes, codes) => {
    const { userErrors, authorizationUrl } = await world.start(scopes);
    expect(userErrors.map(({ code }) => code)).toEqual(codes);
    const asked = authorizationUrl ? new URL(authorizationUrl).searchParams.get('scope') : undefined;
    expect(asked).toBe(codes.length === 0 ? scopes.join(' ') : undefined);
  });
});

function list(length: number, item: (index: number) => string): string {
  return Array.from({ length }, (_, index) => item(index)).join(' ');
}
