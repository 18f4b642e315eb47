import type { SqlEntityManager } from '@mikro-orm/sql';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { StartupError } from '../../src/errors.js';
import { type KeyRing, parseKeyRing } from '../../src/vault/key-ring.js';
import { type KeyRotation, type KeyRotationDeps, rotateKeys } from '../../src/vault/key-rotation.js';
import { createTokenCipher } from '../../src/vault/token-cipher.js';
import { readSealed, type SealedRow } from '../../src/vault/sealed-row.repository.js';
import { isNeeded } from '../../src/vault/token-key.repository.js';
import { RenewAccessTokenDocument } from '../generated/graphql.js';
import { randomKey } from '../kit/server-env.js';
import { createTestDatabase, type TestDatabase } from '../kit/test-database.js';
import { KEYS, startWorld, type World } from '../kit/world.js';

interface Row {
  readonly account_id: string;
  readonly key_id: string;
  readonly data_key: string;
}

describe('rotating keys', () => {
  let database: TestDatabase;
  let world: World;
  let people: Person[];
  const added = randomKey('k2');
  const both = parseKeyRing(`${added},${KEYS}`);
  beforeAll(async () => {
    // The server of this world has both keys, and seals with the first. No other one may lack the second.
    database = await createTestDatabase();
    world = await startWorld({ env: { ...database.env, TOKEN_KEYS: `${KEYS},${added}` } });
  });
  afterAll(async () => {
    await world.close();
    await database.close();
  });
  beforeEach(async () => {
    await world.reset();
    people = world.rollup.people;
  });

  test('STO-20 VLT-02 wraps every data key anew, touches no token, and the old key is not needed any more', async () => {
    const tokens = [await link(people[0]), await link(people[1]), await link(people[2])];
    const before = await rows();
    expect(await rotate()).toEqual({ kid: 'k2', rewrapped: 3, broken: 0, left: 0 });
    const after = await rows();
    expect(after.map(({ key_id }) => key_id)).toEqual(['k2', 'k2', 'k2']);
    expect(after.map(others)).toEqual(before.map(others));
    expect((await openAll(parseKeyRing(added))).toSorted()).toEqual(tokens.toSorted());
    expect(await rotate()).toEqual({ kid: 'k2', rewrapped: 0, broken: 0, left: 0 });
  });

  test('STO-20 leaves a data key alone that does not unwrap, tells whose, and does the rest', async () => {
    await link(people[0]);
    await link(people[1]);
    const [victim] = await rows();
    await world
      .em()
      .execute(`update sealed_tokens set data_key = 'x' || data_key where account_id = ?`, [
        victim?.account_id,
      ]);
    const told: unknown[] = [];
    const rotation = await rotate({ onBroken: (accountId, { code }) => told.push([accountId, code]) });
    expect(rotation).toEqual({ kid: 'k2', rewrapped: 1, broken: 1, left: 0 });
    expect(told).toEqual([[victim?.account_id, 'SEAL_DATA_KEY']]);
    expect((await rows()).map(({ key_id }) => key_id)).toEqual(['k1', 'k2']);
  });

  test('VLT-103 wraps anew what is to be revoked, and removes what never can be', async () => {
    await link(people[0]);
    await link(people[1]);
    await world.em().execute(
      `insert into pending_revocation (id, account_id, issuer, client_id, key_id, data_key, refresh_token)
       select account_id, account_id, issuer, client_id, key_id, data_key, refresh_token from sealed_tokens`,
    );
    const [kept, broken] = await rows();
    await world.em().execute('delete from rollup_account');
    await world
      .em()
      .execute(`update pending_revocation set data_key = 'damaged' where id = ?`, [broken?.account_id]);
    expect(await isNeeded(world.em(), 'k1')).toBe(true);
    const told: unknown[] = [];
    await rotate({ onBroken: (accountId, { code }) => told.push([accountId, code]) });
    expect(told).toEqual([[broken?.account_id, 'SEAL_DATA_KEY']]);
    expect(await isNeeded(world.em(), 'k1')).toBe(false);
    const [row] = await world
      .em()
      .execute<{ keyId: string; dataKey: string; refreshToken: string }[]>(
        'select key_id as "keyId", data_key as "dataKey", refresh_token as "refreshToken" from pending_revocation',
      );
    const { issuer, clientId } = world.config.rollup;
    const cipher = createTokenCipher(parseKeyRing(added), { issuer, clientId });
    const token = { accountId: kept?.account_id ?? '', accessToken: null, idToken: null };
    expect(
      await cipher.open({ keyId: '', dataKey: '', refreshToken: '', ...row, ...token }, 'refreshToken'),
    ).toMatch(/^ey/);
  });

  test('VLT-02 leaves the accounts of a lost key that was given up, which are none of its own', async () => {
    await link(people[0]);
    await world.em().execute(`update token_key set given_up_at = clock_timestamp() where kid = 'k1'`);
    const told: unknown[] = [];
    const found = await rotate({
      ring: parseKeyRing(added),
      onBroken: (accountId) => told.push(accountId),
      force: true,
    });
    expect(found).toEqual({ kid: 'k2', rewrapped: 0, broken: 0, left: 0 });
    expect(told).toEqual([]);
    await world.em().execute('update token_key set given_up_at = null');
  });

  test.each(['a refresh', 'a new link', 'an unlink'])(
    'STO-20 VLT-02 never writes over %s that comes between reading and writing',
    async (change) => {
      const token = await link(people[0]);
      let changed = token;
      let made = false;
      const em = beforeUpdates(async () => {
        if (made) return;
        made = true;
        changed = await make(change, token);
      });
      expect(await rotate({ em })).toMatchObject({ broken: 0, left: 0 });
      expect(made).toBe(true);
      expect((await rows()).map(({ key_id }) => key_id)).toEqual(change === 'an unlink' ? [] : ['k2']);
      expect(await openAll(parseKeyRing(added))).toEqual(change === 'an unlink' ? [] : [changed]);
    },
  );

  test('refuses a first key with other bytes than the database knows, and changes nothing', async () => {
    await link(people[0]);
    await rotate();
    const before = await rows();
    const mistyped = parseKeyRing(`${randomKey('k2')},${KEYS}`);
    await expect(rotate({ ring: mistyped })).rejects.toThrow('has the key "k2" with other bytes');
    expect(await rows()).toEqual(before);
  });

  test('VLT-05 refuses while a server lacks the key, and names it; --force goes on', async () => {
    await link(people[0]);
    const ring = parseKeyRing(`${randomKey('k3')},${added},${KEYS}`);
    const refused = await rotate({ ring }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StartupError);
    expect(refused).toMatchObject({ message: expect.stringMatching(/lack the key "k3": .+ \(pid \d+\)/) });
    expect((await rows()).map(({ key_id }) => key_id)).toEqual(['k1']);
    expect(await world.rows('token_key')).not.toContainEqual(expect.objectContaining({ kid: 'k3' }));
    expect(await rotate({ ring, force: true })).toMatchObject({ kid: 'k3', rewrapped: 1 });
    await expect(rotate()).rejects.toThrow('need the key "k3"');
    const all = parseKeyRing(`${added},${KEYS},${entryOf(ring)}`);
    expect(await rotate({ ring: all })).toMatchObject({ kid: 'k2', rewrapped: 1 });
  });

  test('gives up after ten looks, and says how many are left, while somebody else is always faster', async () => {
    await link(people[0]);
    let relinks = 0;
    const em = beforeUpdates(async () => {
      relinks += 1;
      await link(people[0]);
    });
    expect(await rotate({ em })).toMatchObject({ rewrapped: 0, left: 1 });
    expect(relinks).toBe(10);
  });

  test('VLT-06 keeps to a rate, by the time it takes', async () => {
    for (const person of people.slice(0, 3)) await link(person);
    const slept: number[] = [];
    const progress: KeyRotation[] = [];
    await rotate({
      maxRate: 2,
      now: () => 1_000,
      sleep: async (ms) => void slept.push(ms),
      onProgress: (rotation) => progress.push(rotation),
    });
    expect(slept).toEqual([1_000, 500]);
    expect(progress.map(({ rewrapped, left }) => [rewrapped, left])).toEqual([
      [2, 1],
      [3, 0],
    ]);
  });

  /** Runs `act` before each statement that writes data keys. */
  function beforeUpdates(act: () => Promise<void>): SqlEntityManager {
    const fork = (): SqlEntityManager => {
      const em = world.em();
      const execute = em.execute.bind(em);
      em.execute = (async (sql: string, params: unknown[], method: 'run') => {
        if (sql.includes('update sealed_tokens')) await act();
        return execute(sql, params, method);
      }) as typeof em.execute;
      return em;
    };
    return { fork } as unknown as SqlEntityManager;
  }

  async function make(change: string, token: string): Promise<string> {
    if (change === 'a new link') return link(people[0]);
    if (change === 'an unlink') {
      await world.em().execute('delete from rollup_account');
      return 'gone';
    }
    await world.em().execute('update sealed_tokens set access_token_expires_at = clock_timestamp()');
    const { data } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token });
    return data.renewAccessToken.accessToken ?? '';
  }

  async function link(person: Person | undefined): Promise<string> {
    return (await world.linkPerson(person)).token;
  }

  function rotate(special: Partial<KeyRotationDeps> = {}): Promise<KeyRotation> {
    return rotateKeys({
      em: world.em(),
      ring: both,
      maxRate: Number.POSITIVE_INFINITY,
      force: false,
      now: () => 0,
      sleep: async () => undefined,
      onProgress: () => undefined,
      onBroken: () => undefined,
      ...special,
    });
  }

  function rows(): Promise<Row[]> {
    return world.em().execute('select * from sealed_tokens order by account_id');
  }

  /** The access tokens of all rows, opened by this ring; each row's other tokens are opened too. */
  async function openAll(ring: KeyRing): Promise<string[]> {
    const { issuer, clientId } = world.config.rollup;
    const client = { issuer, clientId };
    const cipher = createTokenCipher(ring, client);
    const opened: string[] = [];
    for (const { account_id } of await rows()) {
      const { content } = (await readSealed(world.em(), client, [account_id]))[0] as SealedRow;
      await cipher.open(content, 'idToken');
      await cipher.open(content, 'refreshToken');
      opened.push(await cipher.open(content, 'accessToken'));
    }
    return opened;
  }

  function others({ key_id, data_key, ...rest }: Row): unknown {
    expect([key_id, data_key]).not.toContain('');
    return rest;
  }
});

/** The first key of a ring, as an entry. */
function entryOf(ring: KeyRing): string {
  return `${ring.currentKid}:${Buffer.from(ring.key(ring.currentKid) ?? []).toString('base64url')}`;
}
