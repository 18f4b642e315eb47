import type { ClientRegistration } from '../../src/token-set.js';
import { countRestingTokens } from '../../src/vault/resting-tokens.repository.js';
import { KEY_ID } from '../kit/token-rows.js';
import { useVaultDatabase } from '../kit/vault-database.js';

const OURS = { issuer: 'https://m.example', clientId: 'm' };

describe('the count of accounts that rest', () => {
  const database = useVaultDatabase();

  test('VLT-107 has none where all are of this issuer and client', async () => {
    await insert(OURS, 3);
    expect(await count(10)).toBe(undefined);
  });

  test.each<[string, Partial<ClientRegistration>]>([
    ['an issuer that sorts before ours', { issuer: 'https://a.example' }],
    ['an issuer that sorts after ours', { issuer: 'https://z.example' }],
    ['a client that sorts before ours', { clientId: 'a' }],
    ['a client that sorts after ours', { clientId: 'z' }],
  ])('VLT-107 has those of %s', async (_title, other) => {
    const resting = { ...OURS, ...other };
    await insert(OURS, 3);
    await insert(resting, 2);
    expect(await count(10)).toEqual({ accounts: 2, example: resting });
  });

  test('VLT-107 is exact up to the limit, and estimated beyond', async () => {
    await insert(OURS, 1_000);
    await insert({ ...OURS, clientId: 'a' }, 800);
    await insert({ ...OURS, issuer: 'https://z.example' }, 700);
    await database.em().execute('analyze sealed_tokens');
    expect(await count(2_000)).toMatchObject({ accounts: 1_500, example: { clientId: 'a' } });
    const { accounts = 0 } = (await count(1_000)) ?? {};
    expect(accounts).toBeGreaterThan(1_100);
    expect(accounts).toBeLessThan(2_000);
  });

  const count = (limit: number) => countRestingTokens(database.em(), OURS, limit);

  async function insert({ issuer, clientId }: ClientRegistration, rows: number): Promise<void> {
    await database.em().execute(
      `insert into sealed_tokens (account_id, issuer, client_id, key_id, data_key, access_token, refresh_token, scope,
         access_token_expires_at, status, generation)
       select gen_random_uuid(), ?, ?, ?, 'wrapped', 'sealed', 'sealed', 'openid', clock_timestamp(), 'ACTIVE', 1
       from generate_series(1, ?)`,
      [issuer, clientId, KEY_ID, rows],
    );
  }
});
