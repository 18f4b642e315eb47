import { giveUpKey } from '../../src/vault/lost-key.js';
import { onPostgres } from '../kit/needs.js';
import { KEY_ID } from '../kit/token-rows.js';
import { useVaultDatabase } from '../kit/vault-database.js';

onPostgres('giving a lost key up', () => {
  const database = useVaultDatabase();

  test('VLT-11 VLT-103 ends what is not locked, and says how many it could not end in time', async () => {
    await database.em().execute(
      `insert into sealed_tokens (account_id, issuer, client_id, key_id, data_key, access_token, pending_response, scope,
         access_token_expires_at, status, generation)
       select gen_random_uuid(), 'issuer', 'client', ?, 'wrapped', 'sealed', 'sealed', 'openid', clock_timestamp(), 'ACTIVE', 1
       from generate_series(1, 3)`,
      [KEY_ID],
    );
    await database.em().execute(
      `insert into pending_revocation (id, account_id, issuer, client_id, key_id, data_key, refresh_token)
       select account_id, account_id, issuer, client_id, key_id, data_key, 'sealed' from sealed_tokens`,
    );
    let waited = 0;
    const sleep = async (ms: number): Promise<void> => void (waited += ms);
    await database.em().transactional(async (tx) => {
      await tx.execute('select from sealed_tokens order by account_id limit 1 for update');
      expect(await giveUpKey(database.em(), KEY_ID, sleep)).toEqual({ ended: 2, left: 1 });
    });
    expect(waited).toBe(20_000);
    expect(await database.em().execute('select from pending_revocation')).toEqual([]);
    expect(await giveUpKey(database.em(), KEY_ID, sleep)).toEqual({ ended: 1, left: 0 });
    const rows = await database
      .em()
      .execute('select distinct status, data_key, access_token, pending_response from sealed_tokens');
    expect(rows).toEqual([
      { status: 'REAUTHENTICATION_REQUIRED', data_key: null, access_token: null, pending_response: null },
    ]);
  });
});
