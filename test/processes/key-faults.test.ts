import { randomUUID } from 'node:crypto';
import { wrapDataKey, unwrapDataKey } from '../../src/vault/data-key.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { findLiveServers } from '../../src/vault/server-heartbeat.repository.js';
import { MeDocument } from '../generated/graphql.js';
import { onPostgres } from '../kit/needs.js';
import { runProgram } from '../kit/processes.js';
import { randomKey } from '../kit/server-env.js';
import { type LinkedPerson, type Server, type Servers, startServers } from '../kit/servers.js';

const [k1, k2] = [randomKey('k1'), randomKey('k2')];
const PEOPLE = 5;

describe('a ring that is not that of the database', () => {
  let all: Servers;
  let people: LinkedPerson[];
  let before: unknown[];
  beforeEach(async () => {
    all = await startServers(1, { env: { TOKEN_KEYS: k1 } });
    people = await Promise.all(Array.from({ length: PEOPLE }, () => all.linkPerson()));
    before = await rows();
  });
  afterEach(() => all.close());

  test('VLT-04 with other bytes for a known kid keeps the second server from starting, and ends no link', async () => {
    const expected = 'TOKEN_KEYS has the key "k1" with other bytes';
    await expect(all.add({ TOKEN_KEYS: randomKey('k1') })).rejects.toThrow(expected);
    await expect(all.add({ TOKEN_KEYS: `${randomKey('k2')},${randomKey('k1')}` })).rejects.toThrow(expected);
    await expectUntouched(all.server);
  });

  test('VLT-04 with a key that each host made for itself keeps the second host from starting', async () => {
    await all.add({ TOKEN_KEYS: `${k1},${k2}` });
    await expect(all.add({ TOKEN_KEYS: `${k1},${randomKey('k2')}` })).rejects.toThrow('the key "k2"');
    await expectUntouched(all.server);
  });

  test('VLT-04 without a key that rows need says which, and how to give it up', async () => {
    await all.server.stop();
    const starting = all.add({ TOKEN_KEYS: k2 });
    await expect(starting).rejects.toThrow('need the key "k1", which TOKEN_KEYS lacks');
    expect(await rows()).toEqual(before);
  });

  test('VLT-05 a server does not seal with a key that another lacks, until that one has it or is gone', async () => {
    const refused = await all.add({ TOKEN_KEYS: `${k2},${k1}` }).catch((error: unknown) => error);
    expect(String(refused)).toContain('Servers that run lack the key "k2"');
    expect(String(refused)).toContain(`(pid ${all.server.run?.process.pid ?? process.pid})`);
    await expectUntouched(all.server);
    // The key may still be mistyped.
    expect(await kids()).toEqual(['k1']);
    await all.server.stop();
    await expectUntouched(await all.add({ TOKEN_KEYS: `${k2},${k1}` }));
  });

  test('VLT-05 a server does not start without the key that another seals with, before there is a row', async () => {
    await all.server.stop();
    const sealing = await all.add({ TOKEN_KEYS: `${k2},${k1}` });
    const refused = await all.add({ TOKEN_KEYS: k1 }).catch((error: unknown) => error);
    expect(String(refused)).toContain('Servers that run seal with "k2", which TOKEN_KEYS lacks');
    await sealing.stop();
    await expectUntouched(await all.add({ TOKEN_KEYS: k1 }));
  });

  test('VLT-05 a server that ended without stopping counts for half a minute by the clock of the database', async () => {
    const seen = (seconds: number) =>
      all
        .em()
        .execute(`update server_heartbeat set seen_at = clock_timestamp() - ? * interval '1 second'`, [
          seconds,
        ]);
    await all.server.stop();
    await all
      .em()
      .execute(`insert into server_heartbeat (id, server, kids) values (?, 'gone', 'k1')`, [randomUUID()]);
    await seen(20);
    expect(await findLiveServers(all.em())).toMatchObject([{ server: 'gone', kids: ['k1'] }]);
    // Ahead, so that no slow start outlives it.
    await seen(-29);
    await expect(all.add({ TOKEN_KEYS: `${k2},${k1}` })).rejects.toThrow(/gone \(seen -?\d+ s ago\)/);
    await seen(31);
    await expectUntouched(await all.add({ TOKEN_KEYS: `${k2},${k1}` }));
  });

  onPostgres('in processes of their own', () => {
    test('VLT-04 of two servers that bring one kid with other bytes at once, one starts', async () => {
      const starts = await Promise.allSettled([
        all.add({ TOKEN_KEYS: `${k1},${randomKey('k2')}` }),
        all.add({ TOKEN_KEYS: `${k1},${randomKey('k2')}` }),
      ]);
      expect(starts.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      const [reason] = starts.flatMap((start) => (start.status === 'rejected' ? [String(start.reason)] : []));
      expect(reason).toContain('TOKEN_KEYS has the key "k2" with other bytes');
    });

    test('VLT-05 VLT-08 a rotation is refused while a server lacks the key; forced, that server ends no link', async () => {
      const second = await all.add({ TOKEN_KEYS: `${k1},${k2}` });
      const refused = rotate();
      expect(await refused.exited).toBe(1);
      expect(refused.output()).toContain(`(pid ${all.server.run?.process.pid})`);
      expect(refused.output()).not.toContain(`(pid ${second.run?.process.pid})`);
      expect(await rows()).toEqual(before);

      const forced = rotate('--force');
      expect(await forced.exited).toBe(0);
      const rotated = await rows();
      await Promise.all(people.map(({ accountId }) => all.expire(accountId)));
      const expired = await rows();
      for (const { bearer } of people) {
        expect((await all.renew(all.server, bearer)).code).toBe('INTERNAL_SERVER_ERROR');
        const { data } = await all.server.ask(MeDocument, {}, { token: bearer });
        expect(data.me?.rollupAccounts[0]?.status).toBe('ACTIVE');
      }
      expect(await rows()).toEqual(expired);
      expect(rotated).not.toEqual(before);
      expect(all.rollup.calls.refresh).toBe(0);
      expect(all.server.output()).toContain('"event":"key_missing"');
      expect(await (await fetch(`${all.server.url}/metrics`)).text()).toContain(
        'rollup_accounts_refreshes_total{outcome="key_missing"} 5',
      );
      await expectAllServed(second);
    });
  });

  test('VLT-08 of a database that was exchanged under a running server ends no link', async () => {
    const [victim] = people as [LinkedPerson];
    const other = parseKeyRing(randomKey('k1'));
    const { key_id: keyId, data_key: dataKey } = await all.row(victim.accountId);
    const key = unwrapDataKey(parseKeyRing(k1), { keyId: String(keyId), dataKey: String(dataKey) });
    await all.em().execute(`update token_key set check_value = 'of other bytes'`);
    await all
      .em()
      .execute('update sealed_tokens set data_key = ? where account_id = ?', [
        wrapDataKey(other, key).dataKey,
        victim.accountId,
      ]);
    const exchanged = await rows();
    expect((await all.renew(all.server, victim.bearer)).code).toBe('INTERNAL_SERVER_ERROR');
    expect(await rows()).toEqual(exchanged);
    expect(all.server.output()).toContain('"event":"key_missing"');
  });

  const rotate = (...args: string[]) =>
    runProgram(['keys', 'rotate', ...args], {
      DATABASE_URL: all.env['DATABASE_URL'] ?? '',
      TOKEN_KEYS: `${k2},${k1}`,
    });

  /** No row has changed, and the server has the stored tokens. */
  async function expectUntouched(server: Server): Promise<void> {
    const renewals = await Promise.all(people.map(({ bearer }) => all.renew(server, bearer)));
    expect(renewals.map(({ token }) => token)).toEqual(people.map(({ token }) => token));
    expect(await rows()).toEqual(before);
  }

  async function expectAllServed(server: Server): Promise<void> {
    const renewals = await Promise.all(people.map(({ bearer }) => all.renew(server, bearer)));
    expect(renewals.map(({ code }) => code)).toEqual(people.map(() => undefined));
  }

  async function kids(): Promise<unknown[]> {
    const keys = await all.em().execute<{ kid: string }[]>('select kid from token_key order by kid');
    return keys.map(({ kid }) => kid);
  }

  function rows(): Promise<unknown[]> {
    return all.em().execute('select * from sealed_tokens order by account_id');
  }
});
