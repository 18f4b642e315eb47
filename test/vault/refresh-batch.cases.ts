import { randomUUID } from 'node:crypto';
import { refreshLeaseRepository } from '../../src/vault/refresh-lease.repository.js';
import type { LeaseClaim } from '../../src/vault/refresh-steps.js';
import { onPostgres } from '../kit/needs.js';
import { KEY_ID } from '../kit/token-rows.js';
import { DATABASE_AHEAD_MS, useVaultDatabase } from '../kit/vault-database.js';

const REGISTRATION = { issuer: 'https://issuer.example', clientId: 'client' };
const HOUR_MS = 3_600_000;

describe('steps of refreshes that begin together', () => {
  const database = useVaultDatabase();
  const leases = refreshLeaseRepository({ fork: () => database.em() } as never, REGISTRATION);
  const accounts = Array.from({ length: 30 }, () => randomUUID());
  const [first = '', second = ''] = accounts;
  beforeEach(async () => {
    for (const account of accounts) {
      await database.em().execute(
        `insert into sealed_tokens (account_id, issuer, client_id, key_id, data_key, access_token, refresh_token, scope,
           access_token_expires_at, status, generation)
         values (?, ?, ?, ?, 'data key', ?, 'refresh token', 'openid', clock_timestamp(), 'ACTIVE', 1)`,
        [account, REGISTRATION.issuer, REGISTRATION.clientId, KEY_ID, `of ${account}`],
      );
    }
  });

  const claim = (accountId: string, special: Partial<LeaseClaim> = {}) =>
    leases.claim({
      accountId,
      generation: 1,
      leaseId: randomUUID(),
      leaseMs: HOUR_MS,
      takeOver: true,
      madeAtMs: Date.now() + DATABASE_AHEAD_MS,
      ...special,
    });
  const put = (accountId: string, accessToken = `new of ${accountId}`) => {
    const [accessTokenIssuedAt, accessTokenExpiresAt] = [new Date(), new Date(Date.now() + HOUR_MS)];
    const tokens = { scope: 'openid', accessToken, idToken: null, refreshToken: null };
    const moments = { accessTokenIssuedAt, accessTokenExpiresAt };
    return leases.putRefreshed(accountId, 1, {
      ...tokens,
      ...moments,
      refreshTokenRotates: false,
      delayMs: 0,
    });
  };
  const tokenOf = async (accountId: string): Promise<string | null | undefined> =>
    (await leases.read(accountId))?.content.accessToken;

  test('VLT-122 each gets what it asked for, and a later generation nothing', async () => {
    const stale = second;
    const claims = accounts.map((id) => claim(id, id === stale ? { generation: 2 } : {}));
    for (const [at, content] of (await Promise.all(claims)).entries()) {
      expect(content?.accessToken).toBe(accounts[at] === stale ? undefined : `of ${accounts[at]}`);
    }
    expect(await Promise.all(accounts.map((id) => put(id)))).toEqual(accounts.map(() => true));
    expect(await Promise.all(accounts.map(tokenOf))).toEqual(accounts.map((id) => `new of ${id}`));
  });

  test('VLT-122 one of two for one account wins, and the other is told so', async () => {
    const claims = await Promise.all([claim(first), claim(first), claim(second)]);
    expect(claims.slice(0, 2).filter((content) => content !== undefined)).toHaveLength(1);
    expect(claims[2]).toBeDefined();
    const stored = await Promise.all([put(first, 'one'), put(first, 'two')]);
    expect(stored.filter(Boolean)).toHaveLength(1);
    expect(await tokenOf(first)).toBe(stored[0] ? 'one' : 'two');
  });

  test('VLT-122 all fail when their statement fails, and succeed when it is made again', async () => {
    await database.em().execute('alter table sealed_tokens rename to away');
    const failed = await Promise.allSettled(accounts.map((id) => put(id)));
    await database.em().execute('alter table away rename to sealed_tokens');
    expect(failed.every(({ status }) => status === 'rejected')).toBe(true);
    expect(await Promise.all(accounts.map((id) => put(id)))).toEqual(accounts.map(() => true));
  });

  onPostgres('beside a transaction that holds a row', () => {
    test('VLT-122 a store waits for no row but its own, and then succeeds', async () => {
      let held: Promise<boolean> | undefined;
      await database.em().transactional(async (tx) => {
        await tx.execute('select from sealed_tokens where account_id = ? for update', [first]);
        held = put(first);
        expect(await put(second)).toBe(true);
      });
      expect(await held).toBe(true);
      expect(await tokenOf(first)).toBe(`new of ${first}`);
    });
  });

  test('VLT-123 a claim waits for the disk where a refresh token rotates, and nothing else is left changed', async () => {
    await database.em().execute('create table noted (account uuid, durable text)');
    await database.em().execute(`create function note() returns trigger language plpgsql as $$ begin
       insert into noted values (new.account_id, current_setting('synchronous_commit'));
       return null;
     end $$`);
    await database
      .em()
      .execute(`create trigger note after update on sealed_tokens for each row execute function note()`);
    try {
      await claim(first);
      await Promise.all([claim(second, { takeOver: false }), claim(accounts[2] ?? '')]);
      const noted = await database.em().execute('select durable from noted');
      expect(noted).toEqual([{ durable: 'off' }, { durable: 'on' }, { durable: 'on' }]);
      expect(await database.em().execute('show synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
    } finally {
      await database.em().execute('drop trigger note on sealed_tokens');
      await database.em().execute('drop function note()');
      await database.em().execute('drop table noted');
    }
  });
});
