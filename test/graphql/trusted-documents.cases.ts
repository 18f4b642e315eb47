import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, print } from 'graphql';
import { StartupError } from '../../src/errors.js';
import { readTrustedDocuments } from '../../src/graphql/trusted-documents.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { useDirectory, useWorld } from '../kit/hooks.js';
import { startWorld } from '../kit/world.js';

const MANIFEST = 'test/generated/persisted-documents.json';
const TEXT = trustedText('query Me ');
const HASH = createHash('sha256').update(TEXT).digest('hex');
const OTHER = 'query Me { me { id } }';
const OTHER_HASH = createHash('sha256').update(OTHER).digest('hex');

describe('trusted documents', () => {
  const world = useWorld({ env: { TRUSTED_DOCUMENTS: MANIFEST } });
  let person: Person;
  let token: string;
  beforeEach(async () => {
    [person] = world.people;
    ({ accessToken: token } = await world.rollup.issue(person));
  });

  describe('a trusted document runs', () => {
    beforeEach(async () => {
      const tokens = await world.rollup.issue(person);
      const query = trustedText('mutation LinkRollupAccount(');
      await post({ query, variables: { input: { tokens } } });
    });

    test.each<[string, object]>([
      ['by documentId', { documentId: HASH }],
      ['by documentId with its algorithm', { documentId: `sha256:${HASH}` }],
      ["by the hash of Apollo's clients", { extensions: persisted(HASH) }],
      ['by its text', { query: TEXT }],
      ['by its text with other white space', { query: print(parse(TEXT)).replaceAll('\n', '\n\n\t') }],
      ['by its text with a comment', { query: `# mine\n${TEXT}` }],
      ['by documentId, with variables and a name', { documentId: HASH, variables: {}, operationName: 'Me' }],
      ['by documentId, with another text beside it', { documentId: HASH, query: OTHER }],
      ['by its text, with its correct hash', { query: TEXT, extensions: persisted(HASH) }],
    ])('%s', async (_title, payload) => {
      expectMe(await post(payload));
    });

    test.each<[string, Record<string, string>]>([
      ['by documentId', { documentId: HASH }],
      ['by documentId with its algorithm', { documentId: `sha256:${HASH}` }],
      ["by the hash of Apollo's clients", { extensions: JSON.stringify(persisted(HASH)) }],
      ['by its text', { query: TEXT }],
      ['with its variables', { documentId: HASH, variables: '{}', operationName: 'Me' }],
    ])('%s in a GET with the preflight header', async (_title, payload) => {
      expectMe(await get(payload, { 'apollo-require-preflight': 'true' }));
    });

    test('but not in a GET without it', async () => {
      const { status, body } = await get({ query: TEXT }, {});
      expect({ status, data: body.data }).toEqual({ status: 400, data: undefined });
    });

    function expectMe({ status, body }: Awaited<ReturnType<typeof post>>): void {
      expect({ status, errors: body.errors }).toEqual({ status: 200, errors: undefined });
      expect(body.data).toMatchObject({ me: { email: person.email, rollupAccounts: [{ sub: person.sub }] } });
    }
  });

  describe('any other document is rejected before execution', () => {
    test.each<[string, unknown]>([
      ['text', { query: OTHER }],
      ['text that starts like a trusted one', { query: `${TEXT} query Other { me { id } }` }],
      ['text that does not parse', { query: '{ me' }],
      ['no text', {}],
      ['no text, and a name', { operationName: 'Me' }],
      ['introspection', { query: '{ __schema { types { name } } }' }],
      ['id', { documentId: OTHER_HASH }],
      ['id beside a trusted text', { documentId: OTHER_HASH, query: TEXT }],
      ['id that names a property of every object', { documentId: 'constructor' }],
      ['id that is no text', { documentId: { id: HASH } }],
      ['hash, registered with its text', { query: OTHER, extensions: persisted(OTHER_HASH) }],
      ['hash beside a trusted text', { query: TEXT, extensions: persisted(OTHER_HASH) }],
      ['list of trusted documents', [{ query: TEXT }]],
      ['text in a list', { query: [TEXT] }],
    ])('%s by POST', async (_title, payload) => {
      const before = world.statements.length;
      expectRejected(await post(payload));
      expect(world.statements).toHaveLength(before);
    });

    test.each<[string, Record<string, string>]>([
      ['text', { query: OTHER }],
      ['id', { documentId: OTHER_HASH }],
      ['hash', { extensions: JSON.stringify(persisted(OTHER_HASH)), query: OTHER }],
    ])('%s by GET', async (_title, payload) => {
      const before = world.statements.length;
      expectRejected(await get(payload, { 'apollo-require-preflight': 'true' }));
      expect(world.statements).toHaveLength(before);
    });

    function expectRejected({ status, body }: Awaited<ReturnType<typeof post>>): void {
      expect({ status, data: body.data }).toEqual({ status: 400, data: undefined });
      expect(body.errors?.map(({ extensions }) => extensions['code'])).toEqual(['PERSISTED_QUERY_NOT_FOUND']);
    }
  });

  test('a missing manifest prevents the start', async () => {
    const starting = startWorld({ env: { TRUSTED_DOCUMENTS: 'test/generated/no-such-manifest.json' } });
    await expect(starting).rejects.toThrow('TRUSTED_DOCUMENTS names no manifest');
    await expect(starting).rejects.toThrow(StartupError);
  });

  test('a manifest that is no JSON prevents the start', () => {
    expect(() => readTrustedDocuments('README.md')).toThrow(StartupError);
  });

  const directory = useDirectory();
  test.each([
    ['text that does not parse', '{ me {'],
    ['no text', 1],
  ])('a manifest with %s prevents the start', async (_what, entry) => {
    const path = join(directory, 'manifest.json');
    await writeFile(path, JSON.stringify({ [HASH]: TEXT, [OTHER_HASH]: entry }));
    expect(() => readTrustedDocuments(path)).toThrow(StartupError);
  });

  interface Body {
    readonly data?: unknown;
    readonly errors?: readonly { readonly extensions: Readonly<Record<string, unknown>> }[];
  }

  async function post(payload: unknown) {
    return read(
      await fetch(`${world.app.url}/graphql`, {
        method: 'POST',
        headers: { ...commonHeaders(), 'content-type': 'application/json' },
        body: JSON.stringify(payload),
      }),
    );
  }

  async function get(payload: Record<string, string>, headers: Record<string, string>) {
    const search = new URLSearchParams(payload).toString();
    const url = `${world.app.url}/graphql?${search}`;
    return read(await fetch(url, { headers: { ...commonHeaders(), ...headers } }));
  }

  async function read(response: Response) {
    return { status: response.status, body: (await response.json()) as Body };
  }

  function commonHeaders(): Record<string, string> {
    return { accept: 'application/graphql-response+json', authorization: `Bearer ${token}` };
  }

  function persisted(sha256Hash: string): object {
    return { persistedQuery: { version: 1, sha256Hash } };
  }
});

function trustedText(part: string): string {
  const texts = Object.values(JSON.parse(readFileSync(MANIFEST, 'utf8')) as Record<string, string>);
  const text = texts.find((candidate) => candidate.includes(part));
  if (text === undefined) throw new Error(`no document of the manifest has "${part}"`);
  return text;
}
