import { createPerson } from '../../../src/dev/rollup-id/people.js';
import { read, userinfo } from './client.js';
import { foreignKey } from '../../kit/forged-token.js';
import { useRollupId } from '../../kit/hooks.js';

const ada = createPerson({
  name: 'Ada',
  picture: 'data:,',
  email: 'ada@example.com',
  emailType: 'google',
  connectedAccounts: [
    { type: 'github', identifier: 'ada' },
    { type: 'smart_contract_wallet', identifier: '0xCd' },
  ],
  wallets: [{ nickname: 'game wallet', address: '0xCd' }],
});
const DATA_ERROR = 'Authorized data error. Re-authorization by user required';

describe('userinfo', () => {
  let now = Date.parse('2024-03-01T12:00:00Z');
  const rollup = useRollupId({ now: () => now, people: [ada] });

  async function claims(scopes: readonly string[]): Promise<Record<string, unknown>> {
    return (await userinfo(rollup, await rollup.mint('access', ada, { scopes }))).body;
  }

  test.each([
    [['openid'], {}],
    [['profile'], { name: 'Ada', picture: 'data:,' }],
    [['email'], { email: 'ada@example.com', type: 'google' }],
    [['connected_accounts'], { connected_accounts: [{ type: 'github', identifier: 'ada' }] }],
    [['erc_4337'], { erc_4337: [{ nickname: 'game wallet', address: '0xCd' }] }],
    [['unheard_of'], {}],
  ])('returns the data of %j and the subject', async (scopes, data) => {
    expect(await claims(scopes)).toEqual({ ...data, sub: ada.sub });
  });

  test('returns claims in the order of the scopes and the subject last', async () => {
    const scopes = ['erc_4337', 'email', 'openid', 'profile'];
    expect(Object.keys(await claims(scopes))).toEqual([
      'erc_4337',
      'email',
      'type',
      'name',
      'picture',
      'sub',
    ]);
  });

  test('switches the shapes of email and wallets', async () => {
    rollup.switches.emailWithType = false;
    rollup.switches.walletShape = 'identifier';
    expect(await claims(['email', 'erc_4337'])).toEqual({
      email: 'ada@example.com',
      erc_4337: [{ type: 'smart_contract_wallet', identifier: '0xCd' }],
      sub: ada.sub,
    });
  });

  test('reads live data and omits unset fields', async () => {
    const person = createPerson({ name: 'Before' });
    rollup.people.push(person);
    const token = await rollup.mint('access', person, { scopes: ['profile'] });
    person.name = 'After';
    expect((await userinfo(rollup, token)).body).toEqual({ name: 'After', sub: person.sub });
    delete person.name;
    expect((await userinfo(rollup, token)).body).toEqual({ sub: person.sub });
  });

  test('accepts a refresh token', async () => {
    expect((await userinfo(rollup, await rollup.mint('refresh', ada))).status).toBe(200);
  });

  test('rejects data scopes after a revocation, but no others', async () => {
    await rollup.issue(ada);
    rollup.revoke(ada);
    for (const scope of ['email', 'connected_accounts', 'erc_4337']) {
      expect((await claims(['openid', scope]))['message']).toBe(DATA_ERROR);
    }
    expect(await claims(['openid', 'profile'])).toMatchObject({ name: 'Ada', sub: ada.sub });
    await rollup.issue(ada);
    expect(await claims(['email'])).toHaveProperty('email');
  });

  test('rejects the email scope without an email', async () => {
    const person = createPerson();
    rollup.people.push(person);
    const reply = await userinfo(rollup, await rollup.mint('access', person, { scopes: ['email'] }));
    expect([reply.status, reply.body['message']]).toEqual([401, DATA_ERROR]);
  });

  test('rejects a missing or malformed header', async () => {
    const none = await read(await fetch(`${rollup.url}/userinfo`));
    expect([none.status, none.body['message']]).toEqual([401, 'No access token provided']);
    const token = await rollup.mint('access', ada);
    for (const authorization of [token, `bearer ${token}`, `Bearer ${token} more`, 'Bearer']) {
      const reply = await read(await fetch(`${rollup.url}/userinfo`, { headers: { authorization } }));
      expect([reply.status, reply.body['message']]).toEqual([500, 'unknown error']);
    }
  });

  test('reports token errors', async () => {
    const key = await foreignKey();
    const idToken = await rollup.mint('id', ada);
    const mint = async (claims: Record<string, unknown>): Promise<string> =>
      rollup.mint('access', ada, { claims });
    const rows: [string, number, string][] = [
      ['garbage', 500, 'Invalid JWT'],
      [idToken, 500, "Cannot read properties of undefined (reading 'split')"],
      [await mint({ aud: [] }), 400, 'missing client id in the aud claim'],
      [await mint({ sub: 'urn:threeid:account/0x1' }), 400, 'missing identity in the sub claim'],
      [await mint({ exp: now / 1000 - 1 }), 401, 'expired token'],
      [await mint({ iss: `${rollup.url}/` }), 401, 'token claim validation failed'],
      [await rollup.mint('access', ada, { key }), 401, 'token verification failed'],
      [await mint({ aud: ['f'.repeat(32)] }), 401, DATA_ERROR],
    ];
    for (const [token, status, message] of rows) {
      const reply = await userinfo(rollup, token);
      expect([reply.status, reply.body['message']]).toEqual([status, message]);
      expect(reply.headers.get('x-remix-catch')).toBe('yes');
    }
  });

  test('rejects an expired token, and POST', async () => {
    const token = await rollup.mint('access', ada);
    now += 3_600_000;
    expect((await userinfo(rollup, token)).body['message']).toBe('expired token');
    const posted = await fetch(`${rollup.url}/userinfo`, { method: 'POST' });
    expect([posted.status, await posted.text()]).toEqual([500, 'Unexpected Server Error']);
  });
});
