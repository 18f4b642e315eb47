import { SignJWT } from 'jose';
import { createPerson } from '../../../src/dev/rollup-id/people.js';
import { read, type Reply } from './client.js';
import { foreignKey } from '../../kit/forged-token.js';
import { useRollupId } from '../../kit/hooks.js';

const github = { type: 'github', identifier: 'ada' };
const ada = createPerson({
  name: 'Ada',
  displayName: 'ada.eth',
  pfp: { image: 'data:,a', isToken: true },
  connectedAccounts: [github, { type: 'google', identifier: 'ada@example.com' }],
  publicAccounts: [github],
});
const bob = createPerson({ name: 'Bob', picture: 'data:,b' });
const PROFILE = `query ($urn: String) { profile(targetIdentityURN: $urn) {
  displayName pfp { __typename ... on StandardPFP { image } ... on NFTPFP { image isToken } } } }`;

describe('Galaxy', () => {
  let now = Date.parse('2024-03-01T12:00:00Z');
  const rollup = useRollupId({ now: () => now, people: [ada, bob] });

  async function query(
    source: string,
    headers: Record<string, string | undefined> = {},
    variables: Record<string, unknown> = {},
  ): Promise<Reply> {
    const sent = new Headers({ 'content-type': 'application/json', 'x-galaxy-key': rollup.galaxyKey });
    for (const [name, value] of Object.entries(headers)) {
      if (value === undefined) sent.delete(name);
      else sent.set(name, value);
    }
    const body = JSON.stringify({ query: source, variables });
    return read(await fetch(rollup.galaxyUrl, { method: 'POST', headers: sent, body }));
  }

  async function bearer(claims: Record<string, unknown> = {}): Promise<{ authorization: string }> {
    return { authorization: `Bearer ${await rollup.mint('access', ada, { claims })}` };
  }

  test("returns the profile of the token's user, or of a given one", async () => {
    expect((await query(PROFILE, await bearer())).body).toEqual({
      data: {
        profile: {
          displayName: 'ada.eth',
          pfp: { __typename: 'NFTPFP', image: 'data:,a', isToken: true },
        },
      },
    });
    expect((await query(PROFILE, {}, { urn: bob.sub })).body).toEqual({
      data: { profile: { displayName: 'Bob', pfp: { __typename: 'StandardPFP', image: 'data:,b' } } },
    });
    expect((await query(PROFILE, {}, { urn: 'urn:rollupid:identity/0x0' })).body).toEqual({
      data: { profile: null },
    });
  });

  test('returns the profiles of accounts to whoever has the key', async () => {
    const { body } = await query('{ connectedAccounts { baseUrn } }', await bearer());
    const { baseUrn } = (body as { data: { connectedAccounts: { baseUrn: string }[] } }).data
      .connectedAccounts[0] ?? { baseUrn: '' };
    const source = 'query ($urns: [String!]!) { accountProfiles(accountURNList: $urns) { id type address } }';
    expect((await query(source, {}, { urns: [baseUrn] })).body).toEqual({
      data: { accountProfiles: [{ id: baseUrn, type: 'github', address: 'ada' }] },
    });
    expect((await query(source, {}, { urns: [] })).body).toEqual({ data: { accountProfiles: [] } });
    expect((await query(source, { 'x-galaxy-key': 'wrong' }, { urns: [] })).body).toMatchObject({
      errors: [{}],
    });
    expect((await query(source, {}, { urns: ['urn:rollupid:account/0x0'] })).body).toHaveProperty('errors');
  });

  test("shows public accounts only, even with the user's own token", async () => {
    const { body } = await query('{ connectedAccounts { baseUrn qc rc } }', await bearer());
    expect(body).toEqual({
      data: {
        connectedAccounts: [
          {
            baseUrn: expect.stringMatching(/^urn:rollupid:account\/0x[0-9a-f]{64}$/) as unknown,
            qc: { alias: 'ada' },
            rc: { addr_type: 'github', node_type: 'oauth' },
          },
        ],
      },
    });
  });

  test('lists the application after an approval', async () => {
    const source = '{ authorizedApps { clientId title timestamp } }';
    expect((await query(source, await bearer())).body).toEqual({ data: { authorizedApps: [] } });
    await rollup.issue(ada);
    const app = { clientId: rollup.clientId, title: 'Example application', timestamp: now };
    expect((await query(source, await bearer())).body).toEqual({ data: { authorizedApps: [app] } });
  });

  test('supports GET', async () => {
    const url = new URL(rollup.galaxyUrl);
    url.searchParams.set('query', PROFILE);
    url.searchParams.set('variables', JSON.stringify({ urn: bob.sub }));
    const { body } = await read(await fetch(url, { headers: { 'x-galaxy-key': rollup.galaxyKey } }));
    expect(body).toMatchObject({ data: { profile: { displayName: 'Bob' } } });
    expect(rollup.calls.galaxy).toBe(1);
  });

  test('masks the errors of its guards', async () => {
    const { status, body } = await query(PROFILE, { 'x-galaxy-key': undefined });
    expect([status, body]).toEqual([200, { errors: [{}], data: { profile: null } }]);
  });

  test('keeps message and status of its guards when plain', async () => {
    rollup.switches.galaxyErrors = 'plain';
    const other = await new SignJWT({ sub: `urn:rollupid:application/${rollup.clientId}` })
      .setProtectedHeader({ alg: 'ES256' })
      .sign(await foreignKey());
    const mismatch = "Client ID in API key doesn't match with the one in JWT.";
    const rows: [Record<string, string | undefined>, number, string][] = [
      [{ authorization: 'Bearer garbage' }, 200, 'Invalid JWT'],
      [{ 'x-galaxy-key': undefined }, 400, 'No API Key provided.'],
      [{ 'x-galaxy-key': 'garbage' }, 401, 'Unable to validate given API key.'],
      [{ 'x-galaxy-key': other }, 401, 'Invalid API key provided.'],
      [await bearer({ aud: ['f'.repeat(32)] }), 401, mismatch],
      [{}, 401, 'You are not authenticated!'],
    ];
    for (const [headers, status, message] of rows) {
      const reply = await query(PROFILE, headers);
      expect([reply.status, reply.body]).toMatchObject([
        status,
        { errors: [{ message, path: ['profile'] }], data: { profile: null } },
      ]);
    }
  });

  test('never masks token errors', async () => {
    const authorization = await bearer();
    now += 3_600_000;
    const expired = await query(PROFILE, authorization);
    const error = { code: 'UNAUTHORIZED', name: 'RollupError', extensions: { http: { status: 401 } } };
    expect(expired.status).toBe(401);
    expect(expired.body).toEqual({
      errors: [{ ...error, message: 'expired token' }],
      data: { profile: null },
    });
    const key = await foreignKey();
    const forged = await query(PROFILE, {
      authorization: `Bearer ${await rollup.mint('access', ada, { key })}`,
    });
    expect(forged.body['errors']).toEqual([{ ...error, message: 'token verification failed' }]);
  });

  test('responds to an invalid query with 200 and a GraphQL error', async () => {
    const { status, body } = await query('{ gallery { id } }');
    expect(status).toBe(200);
    expect(body['errors']).toMatchObject([
      { message: expect.stringContaining('gallery') as unknown, locations: [{ line: 1, column: 3 }] },
    ]);
  });
});
