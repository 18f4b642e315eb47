import { readFile } from 'node:fs/promises';
import { type GraphQLFormattedError, type GraphQLSchema, extendSchema, isEnumType, parse } from 'graphql';
import { startApollo } from '../../src/graphql/graphql.js';
import { createOperationRecord } from '../../src/graphql/operation-record.js';
import type { RequestContext } from '../../src/graphql/context.js';
import { PUBLIC_CODES, TRANSPORT_CODES } from '../../src/graphql/format-error.js';
import { createSchema } from '../../src/graphql/schema.js';
import { createLog } from '../../src/log.js';
import { createGate } from '../../src/dev/instruments/faults.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { LinkRollupAccountDocument, MeDocument } from '../generated/graphql.js';
import { waitUntil } from '../kit/eventually.js';
import type { GraphqlResponse } from '../kit/graphql-client.js';
import { useWorld } from '../kit/hooks.js';

/** Shorter than ROLLUP_TIMEOUT_MS. */
const OPERATION_TIMEOUT_MS = 4_000;
const LIMIT = 50;
const ENV = {
  INTROSPECTION: 'off',
  OPERATION_TIMEOUT_MS: String(OPERATION_TIMEOUT_MS),
  RATE_LIMIT_SUBJECT: String(LIMIT),
  GRAPHQL_MAX_ALIASES: '200',
  GRAPHQL_MAX_TOKENS: '5000',
};

describe('errors', () => {
  const world = useWorld({ env: ENV });
  let person: Person;
  let token: string;
  beforeEach(async () => {
    [person] = world.people;
    ({ token } = await world.linkPerson(person));
  });

  test.each([
    ['__schema', '{ __schema { types { name } } }'],
    ['__type', '{ __type(name: "User") { fields { name } } }'],
    ['an alias', '{ typename: __schema { types { name } } }'],
    ['a fragment', '{ ...Q } fragment Q on Query { ... { __schema { types { name } } } }'],
  ])('GQL-16 disabled introspection is blocked: %s', async (_title, query) => {
    const response = await world.ask(query, {}, { token });
    expect(response).toMatchObject({ status: 400, data: undefined });
    expect(response.codes).toEqual(['GRAPHQL_VALIDATION_FAILED']);
  });

  test('GQL-16 disabled introspection is blocked: a GET', async () => {
    const query = encodeURIComponent('{ __schema { types { name } } }');
    const headers = {
      accept: 'application/graphql-response+json',
      'apollo-require-preflight': 'true',
      authorization: `Bearer ${token}`,
    };
    const response = await fetch(`${world.app.url}/graphql?query=${query}`, { headers });
    expect(response.status).toBe(400);
    expect(await response.text()).not.toContain('RollupAccount');
  });

  test.each<[string, object | string, string]>([
    [
      'an unknown field',
      { tokens: { accessToken: 'secret-1', idToken: 'secret-2', refreshTokenn: 'secret-3' } },
      '; Field "refreshTokenn" is not defined',
    ],
    [
      'two members of a oneOf input',
      {
        tokens: { accessToken: 'secret-1', idToken: 'secret-2' },
        callback: { url: 'https://a/?code=secret-3', linkToken: 'secret-4' },
      },
      '; Exactly one key must be specified',
    ],
    [
      'text instead of an object',
      'secret-1; Field secret-2',
      '; Expected type "LinkRollupAccountInput" to be an object.',
    ],
    [
      'a number instead of a token',
      { tokens: { accessToken: 9_000_001, idToken: 'secret-2' } },
      '; String cannot represent a non string value.',
    ],
  ])(
    'STO-02 variables with %s are rejected without their values in the message',
    async (_title, input, reason) => {
      const query =
        'mutation ($input: LinkRollupAccountInput!) { linkRollupAccount(input: $input) { userErrors { code } } }';
      const { text, errors } = await world.ask(query, { input });
      expect(errors[0]?.message).toMatch(/^Variable "\$input" got an invalid value/);
      expect(errors[0]?.message).toContain(reason);
      expect(text).not.toMatch(/secret-|9000001/);
    },
  );

  test.each([
    'mutation { linkRollupAccount(input: { tokens: { accessToken: 9000001, idToken: "x" } }) { userErrors { code } } }',
    'mutation { linkRollupAccount(input: "9000001") { userErrors { code } } }',
    'mutation { linkRollupAccount "9000001" }',
    '{ eyJhbGciOiJFUzI1NiJ9000001 }',
    'query ($eyJhbGciOiJFUzI1NiJ9000001: Nothing) { __typename }',
  ])('STO-02 a document is rejected without its content in the message: %s', async (query) => {
    const { text, errors } = await world.ask(query);
    expect(errors.length).toBeGreaterThan(0);
    expect(text).not.toContain('9000001');
  });

  describe('in production', () => {
    const RENEW =
      'mutation ($input: RenewAccessTokenInput!) { renewAccessToken(input: $input) { accessToken } }';
    const PAINT = 'query ($colour: Colour) { paint(colour: $colour) }';

    test.each<[string, string, Record<string, unknown>?]>([
      ['field', '{ mee { id } }'],
      ['nested field', '{ me { emial } }'],
      ['argument', 'mutation { renewAccessToken(inputt: {}) { accessToken } }'],
      ['type', '{ me { ... on Usr { id } } }'],
      ['type of a variable', 'query ($input: RenewAccessTokenInputt) { __typename }'],
      ['enum value', '{ paint(colour: REDD) }'],
      ['enum value in variables', PAINT, { colour: 'REDD' }],
      ['input field', 'mutation { renewAccessToken(input: { minTtlSecond: 1 }) { accessToken } }'],
      ['input field in variables', RENEW, { input: { minTtlSecond: 1 } }],
      ['directive', '{ __typename @skipp(if: true) }'],
      ['argument of a directive', '{ __typename @skip(iff: true) }'],
    ])('GQL-17 there is no suggestion for a misspelt %s', async (_title, query, variables = {}) => {
      const errors = await execute({ production: true, query, variables });
      expect(errors.length).toBeGreaterThan(0);
      expect(JSON.stringify(errors)).not.toContain('Did you mean');
      expect(JSON.stringify(errors)).not.toContain('INTERNAL_SERVER_ERROR');
    });

    test('GQL-17 outside production there is a suggestion, so production hides it', async () => {
      const errors = await execute({ production: false, query: '{ mee { id } }' });
      expect(JSON.stringify(errors)).toContain('Did you mean');
    });
  });

  test('GQL-19 a nullable field that fails does not affect the others, and has its code at its path', async () => {
    const withoutEmail = await world.rollup.mint('access', person, { scopes: ['openid', 'profile'] });
    const query =
      '{ me { id name picture email mail: email createdAt } consentedScopes { name } __typename }';
    const { data, errors } = await world.ask<Record<string, unknown>, unknown>(
      query,
      {},
      { token: withoutEmail },
    );
    expect(data).toMatchObject({
      me: { name: person.name, email: null, mail: null, createdAt: expect.any(String) as string },
      consentedScopes: [{ name: 'openid' }, { name: 'profile' }],
    });
    expect(errors.map(({ path, extensions }) => [path, extensions['code']])).toEqual([
      [['me', 'email'], 'FORBIDDEN'],
      [['me', 'mail'], 'FORBIDDEN'],
    ]);
  });

  test('GQL-19 a non-null field that fails nulls its parent and nothing else', async () => {
    await world.em().execute('delete from sealed_tokens');
    const query =
      '{ me { id name rollupAccounts { id status } } again: me { id name } consentedScopes { name } __typename }';
    const { data, errors } = await world.ask<Record<string, unknown>, unknown>(query, {}, { token });
    expect(data).toMatchObject({ me: null, again: { name: person.name }, __typename: 'Query' });
    expect(data['consentedScopes']).toHaveLength(3);
    expect(errors.map(({ path, extensions }) => [path, extensions['code']])).toEqual([
      [['me', 'rollupAccounts', 0, 'status'], 'NOT_LINKED'],
    ]);
  });

  test('GQL-29 at the deadline the caller gets an error, and no further resolver runs', async () => {
    const { input } = await world.approve(person, { scopes: ['openid'] });
    const gate = createGate();
    world.rollup.switches.faults.exchange.queue.push(gate.fault);
    const response = await world.ask(
      `mutation ($link: LinkRollupAccountInput!, $start: StartRollupLinkInput!) {
      linkRollupAccount(input: $link) { accessToken }
      startRollupLink(input: $start) { state }
    }`,
      {
        link: input,
        start: { redirectUri: world.config.rollup.redirectUris[0] ?? '', scopes: ['openid'] },
      },
      { headers: { 'x-request-id': 'chosen-by-the-client' } },
    );

    expect(response).toMatchObject({ status: 503, data: undefined });
    expect(response.codes).toEqual(['INTERNAL_SERVER_ERROR']);
    const correlationId = String(response.errors[0]?.extensions['correlationId']);
    expect(logged(correlationId).filter(({ level }) => level === 'error')).toMatchObject([
      { msg: 'operation timed out', correlationId, reqId: 'chosen-by-the-client' },
    ]);
    expect(correlationId).toMatch(/^[\da-f-]{36}$/);
    expect(await world.requestsLogged(1, 503)).toMatchObject([
      { operation: 'mutation', codes: ['INTERNAL_SERVER_ERROR'] },
    ]);
    gate.release();
    await waitUntil(() => world.logLines.filter((line) => line.includes('internal error')).length > 0);
    expect(await world.em().execute('select state_hash from pending_link')).toEqual([]);
  });

  describe('GQL-30 HTP-17 mutations of one subject', () => {
    const RENEW = 'renewAccessToken(input: {}) { accessTokenExpiresAt }';

    const ALIASES = Array.from({ length: 100 }, (_, index) => `a${index}: ${RENEW}`).join(' ');

    test.each([
      ['at the top level', `mutation { ${ALIASES} }`],
      ['in an inline fragment', `mutation { ... { ${ALIASES} } }`],
      [
        'in a fragment',
        `mutation { ...A } fragment A on Mutation { ...B } fragment B on Mutation { ${ALIASES} }`,
      ],
    ])('are rejected before execution when they come as 100 aliases, %s', async (how, document) => {
      const caller = await mintFor(`urn:rollup:many-aliases-${how.replaceAll(' ', '-')}`);
      const before = world.statements.length;
      expectLimited(await world.ask(document, {}, { token: caller }));
      expect(world.statements).toHaveLength(before);
    });

    test('are rejected from the 51st on when they come as 100 requests', async () => {
      const caller = await mintFor('urn:rollup:many-requests');
      const responses: GraphqlResponse<unknown>[] = [];
      for (let sent = 0; sent < 100; sent += 1) {
        responses.push(await world.ask(`mutation { ${RENEW} }`, {}, { token: caller }));
      }
      const limited = responses.map((response) => response.codes[0] === 'RATE_LIMITED');
      expect(limited).toEqual(Array.from({ length: 100 }, (_, index) => index >= LIMIT));
      for (const response of responses.slice(LIMIT)) expectLimited(response);
    });

    test('do not count for another subject, and queries do not count', async () => {
      const caller = await mintFor('urn:rollup:another-subject');
      for (let sent = 0; sent <= LIMIT; sent += 1) {
        expect((await world.ask(MeDocument, {}, { token: caller })).status).toBe(200);
      }
      expect((await world.ask(`mutation { ${RENEW} }`, {}, { token: caller })).codes).toEqual(['NOT_LINKED']);
    });

    function mintFor(sub: string): Promise<string> {
      return world.rollup.mint('access', { ...person, sub });
    }

    function expectLimited(response: GraphqlResponse<unknown>): void {
      expect(response).toMatchObject({ status: 429, data: undefined });
      expect(response.codes).toEqual(['RATE_LIMITED']);
      const retryAfterMs = Number(response.errors[0]?.extensions['retryAfterMs']);
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(retryAfterMs).toBeLessThanOrEqual(60_000);
      expect(response.headers.get('retry-after')).toBe(String(Math.ceil(retryAfterMs / 1_000)));
    }
  });

  describe('the error codes', () => {
    test('are exactly those of the docs', async () => {
      const docs = await readFile('docs/graphql.md', 'utf8');
      const section = docs.split(/^## Errors$/m)[1]?.split(/^## /m)[0] ?? '';
      const documented = section.split('\n').flatMap((line) => {
        const [, rest = line] = line.startsWith('|') ? (/^(\| `[A-Z_]+`)/.exec(line) ?? []) : [];
        return [...rest.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, code]) => code);
      });
      const known = [...PUBLIC_CODES, ...TRANSPORT_CODES, 'INTERNAL_SERVER_ERROR'];
      expect(new Set(documented)).toEqual(new Set(known));
    });

    test.each([
      [
        'LinkRollupAccount',
        [
          'ACCESS_DENIED',
          'CODE_REJECTED',
          'LINKED_TO_ANOTHER_USER',
          'LINK_NOT_FOUND',
          'PROVIDER_UNAVAILABLE',
          'SUBJECT_MISMATCH',
          'TOKEN_INVALID',
        ],
      ],
      ['StartRollupLink', ['PROVIDER_UNAVAILABLE', 'REDIRECT_URI_NOT_ALLOWED', 'SCOPE_NOT_ALLOWED']],
      ['RenewAccessToken', ['ACCOUNT_NOT_FOUND']],
      ['UnlinkRollupAccount', ['ACCOUNT_NOT_FOUND']],
    ])('that %s returns as data are these', async (mutation, expected) => {
      const codeEnum = (await createSchema()).getType(`${mutation}ErrorCode`);
      const values = isEnumType(codeEnum) ? codeEnum.getValues().map(({ name }) => name) : [];
      expect(values.toSorted()).toEqual(expected);
    });
  });

  test('an internal error is masked, and its correlationId finds the cause in the log', async () => {
    await world.em().execute('alter table pending_link rename to hidden');
    try {
      const input = { callback: { url: 'https://a.example/?code=a&state=a', linkToken: 'a' } };
      const response = await world.ask(LinkRollupAccountDocument, { input });
      expect(response.codes).toEqual(['INTERNAL_SERVER_ERROR']);
      const { message, extensions } = response.errors[0] ?? { message: '', extensions: {} };
      expect(message).toBe('Something went wrong on our side.');
      expect(Object.keys(extensions).toSorted()).toEqual(['code', 'correlationId']);
      expect(response.text).not.toContain('pending_link');
      const line = logged(String(extensions['correlationId'])).find(({ msg }) => msg === 'internal error');
      expect(line).toMatchObject({ level: 'error' });
      expect(JSON.stringify(line)).toContain('42P01');
    } finally {
      await world.em().execute('alter table hidden rename to pending_link');
    }
  });

  test('a log record has no fields of earlier records', async () => {
    await world.ask(MeDocument, {}, { token });
    await waitUntil(() => logged('"msg":"request"').length > 0);
    const lines = logged('"reqId"').filter(({ msg }) => msg !== 'statement');
    expect(logged('"msg":"statement"').length).toBeGreaterThan(0);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((line) => 'sql' in line)).toEqual([]);
  });

  test.each(['production', 'development', 'test', ''])(
    'an internal error is masked with NODE_ENV=%s',
    async (name) => {
      const before = process.env['NODE_ENV'];
      process.env['NODE_ENV'] = name;
      try {
        for (const production of [true, false]) {
          const errors = await execute({ production, query: '{ me { id } }' });
          expect(errors).toEqual([
            {
              message: 'Something went wrong on our side.',
              path: ['me'],
              locations: expect.any(Array) as unknown,
              extensions: {
                code: 'INTERNAL_SERVER_ERROR',
                correlationId: expect.stringMatching(/^[\da-f-]{36}$/) as string,
              },
            },
          ]);
        }
      } finally {
        process.env['NODE_ENV'] = before;
      }
    },
  );

  /** Runs a request on the real schema with an enum to misspell; the database always fails. */
  async function execute(options: {
    readonly production: boolean;
    readonly query: string;
    readonly variables?: Record<string, unknown>;
  }): Promise<readonly GraphQLFormattedError[]> {
    const { production, query, variables = {} } = options;
    const apollo = await startApollo(withColours(await createSchema()), world.config.graphql, {
      production,
      logger: createLog('silent', []),
      report: () => undefined,
      redactSecrets: (text) => text,
      isOutage: () => false,
      limitMutations: async () => undefined,
    });
    const contextValue = {
      request: {
        address: '',
        signal: new AbortController().signal,
        operation: createOperationRecord(),
      },
      user: () => Promise.reject(new Error('select * from app_user: the cause')),
    } as Partial<RequestContext> as RequestContext;
    const { body } = await apollo.executeOperation({ query, variables }, { contextValue });
    await apollo.stop();
    return (body.kind === 'single' && body.singleResult.errors) || [];
  }

  function withColours(schema: GraphQLSchema): GraphQLSchema {
    return extendSchema(
      schema,
      parse('enum Colour { RED GREEN } extend type Query { paint(colour: Colour): Int }'),
    );
  }

  function logged(text: string): Record<string, unknown>[] {
    const lines = world.logLines.filter((line) => line.includes(text));
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
});
