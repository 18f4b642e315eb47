import { randomUUID } from 'node:crypto';
import { StartupError } from '../../src/errors.js';
import { type IssuerMoveDeps, moveIssuer } from '../../src/vault/issuer-move.js';
import { findNamesakes, lockAccountsOf } from '../../src/vault/issuer-move.repository.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { createTokenCipher } from '../../src/vault/token-cipher.js';
import { useWorld } from '../kit/hooks.js';
import { randomKey } from '../kit/server-env.js';
import { KEYS } from '../kit/world.js';

const TO = 'https://id.app.example';
const ring = parseKeyRing(KEYS);

type Row = Readonly<Record<string, unknown>>;

describe('moving an issuer', () => {
  const world = useWorld();

  test('VLT-104 seals every token for the new name, under the same data key, and has the access token end', async () => {
    const linked = [await world.linkPerson(world.people[0]), await world.linkPerson(world.people[1])];
    await world.em().execute(`update sealed_tokens set lease_id = account_id, failure_count = 2`);
    const before = await rows();
    const clear = await openAll(from());
    expect(await move()).toEqual({ moved: 2, broken: 0, left: 0 });
    const after = await rows();
    expect(after.map(kept)).toEqual(before.map(kept));
    expect(after.map(({ issuer, generation }) => [issuer, generation])).toEqual([
      [TO, 2],
      [TO, 2],
    ]);
    expect(await openAll(TO)).toEqual(clear);
    await expect(openAll(from())).rejects.toThrow('WRONG_CONTEXT');
    const ended = 'select from sealed_tokens where access_token_expires_at <= clock_timestamp()';
    expect(await world.em().execute(ended)).toHaveLength(2);
    const accounts = (await world.rows('rollup_account')) as unknown as Row[];
    expect(accounts.map(({ issuer }) => issuer)).toEqual([TO, TO]);
    expect(accounts.map(({ id }) => String(id)).toSorted()).toEqual(
      linked.map(({ accountId }) => accountId).toSorted(),
    );
    expect(await move()).toEqual({ moved: 0, broken: 0, left: 0 });
    expect(await rows()).toEqual(after);
  });

  test('VLT-104 moves accounts without tokens, those of every client, and none of another issuer', async () => {
    await world.linkPerson(world.people[0]);
    await world.linkPerson(world.people[1]);
    await world.linkPerson(world.people[2]);
    const [without, other] = (await rows()).map(({ account_id }) => account_id);
    await world.em().execute(
      `update sealed_tokens set key_id = null, data_key = null, access_token = null, id_token = null,
         refresh_token = null, status = 'REAUTHENTICATION_REQUIRED' where account_id = ?`,
      [without],
    );
    await world
      .em()
      .execute(`update rollup_account set issuer = 'https://other.example' where id = ?`, [other]);
    expect(await move()).toEqual({ moved: 2, broken: 0, left: 0 });
    const issuers = new Map((await rows()).map(({ account_id, issuer }) => [account_id, issuer]));
    expect(issuers.get(without)).toBe(TO);
    expect(issuers.get(other)).toBe(from());
  });

  test('VLT-106 leaves an account whose tokens do not open, tells whose, and moves the rest', async () => {
    await world.linkPerson(world.people[0]);
    await world.linkPerson(world.people[1]);
    const [victim] = await rows();
    await world
      .em()
      .execute(`update sealed_tokens set id_token = access_token where account_id = ?`, [
        victim?.['account_id'],
      ]);
    const told: unknown[] = [];
    const onBroken: IssuerMoveDeps['onBroken'] = (accountId, { code }) => told.push([accountId, code]);
    expect(await move({ onBroken })).toEqual({ moved: 1, broken: 1, left: 0 });
    expect(told).toEqual([[victim?.['account_id'], 'SEAL_WRONG_CONTEXT']]);
    const left = (await world.rows('rollup_account')).filter(({ issuer }) => issuer === from());
    expect(left.map(({ id }) => id)).toEqual([victim?.['account_id']]);
  });

  test('VLT-105 refuses while an identity is linked under both names, and names the account', async () => {
    await world.linkPerson(world.people[0]);
    const namesake = await insertNamesake();
    const before = await rows();
    const refused = await move().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StartupError);
    expect(refused).toMatchObject({
      message: expect.stringContaining(`of ${TO} these accounts: ${namesake}`),
    });
    expect(await rows()).toEqual(before);
    // One that comes later is left out.
    await world.em().transactional(async (tx) => {
      expect(await lockAccountsOf(tx, { from: from(), to: TO }, '', 10)).toEqual([]);
    });
    expect(await findNamesakes(world.em(), { from: from(), to: TO }, 'zzz', 10)).toEqual([]);
  });

  test('VLT-105 refuses while a server runs that names the old issuer, or does not say', async () => {
    await world.linkPerson(world.people[0]);
    await expect(move({ force: false })).rejects.toThrow(`Servers run with ${from()}`);
    await world.em().execute('update server_heartbeat set issuer = null');
    await expect(move({ force: false })).rejects.toThrow(`Servers run with ${from()}`);
    await world.em().execute('update server_heartbeat set issuer = ?', [TO]);
    expect(await move({ force: false })).toEqual({ moved: 1, broken: 0, left: 0 });
    await world.em().execute('update server_heartbeat set issuer = ?', [from()]);
  });

  test('VLT-105 refuses a ring that lacks a key', async () => {
    await world.linkPerson(world.people[0]);
    await expect(move({ ring: parseKeyRing(randomKey('k9')) })).rejects.toThrow('need the key "k1"');
  });

  const from = (): string => world.config.rollup.issuer;
  const rows = (): Promise<Row[]> => world.em().execute('select * from sealed_tokens order by account_id');

  function move(special: Partial<IssuerMoveDeps> = {}) {
    return moveIssuer({
      em: world.em(),
      ring,
      from: from(),
      to: TO,
      force: true,
      sleep: async () => undefined,
      onProgress: () => undefined,
      onBroken: () => undefined,
      ...special,
    });
  }

  async function openAll(issuer: string): Promise<string[]> {
    const cipher = createTokenCipher(ring, { issuer, clientId: world.config.rollup.clientId });
    const opened: string[] = [];
    for (const row of await rows()) {
      const content = {
        accountId: String(row['account_id']),
        keyId: String(row['key_id']),
        dataKey: String(row['data_key']),
        accessToken: String(row['access_token']),
        idToken: String(row['id_token']),
        refreshToken: String(row['refresh_token']),
      };
      for (const name of ['accessToken', 'idToken', 'refreshToken'] as const) {
        opened.push(await cipher.open(content, name));
      }
    }
    return opened;
  }

  async function insertNamesake(): Promise<string> {
    const id = randomUUID();
    await world.em().execute(
      `insert into rollup_account (id, user_id, issuer, sub, granted_scope)
       select ?, user_id, ?, sub, granted_scope from rollup_account`,
      [id, TO],
    );
    return id;
  }
});

/** What a move does not touch. */
function kept({ data_key, key_id, status, scope, client_id, lease_id, failure_count }: Row): unknown {
  return { data_key, key_id, status, scope, client_id, lease_id, failure_count };
}
