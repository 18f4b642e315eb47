import type { SqlEntityManager } from '@mikro-orm/sql';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { rotateKeys } from '../../src/vault/key-rotation.js';
import { createTokenCipher, type TokenCipher } from '../../src/vault/token-cipher.js';
import { sealContext, type TokenColumn } from '../../src/vault/sealed-token-set.js';
import { RenewAccessTokenDocument } from '../generated/graphql.js';
import { startWorld, type World } from '../kit/world.js';
import { randomKey } from '../kit/server-env.js';

interface Row extends Record<TokenColumn, string> {
  readonly account_id: string;
  readonly key_ids: string;
  readonly generation: number;
}

describe('rotating keys', () => {
  let world: World;
  let people: Person[];
  let both: TokenCipher;
  let onlyNew: TokenCipher;
  beforeAll(async () => {
    const added = randomKey('k2');
    // The server of this world has both keys and still seals with the first.
    const first = randomKey('k1');
    world = await startWorld({ env: { TOKEN_KEYS: `${first},${added}` } });
    both = createTokenCipher(parseKeyRing(`${added},${first}`));
    onlyNew = createTokenCipher(parseKeyRing(added));
  });
  afterAll(() => world.close());
  beforeEach(async () => {
    await world.reset();
    people = world.rollup.people;
  });

  test('STO-20 leaves no row on the old key, moves nothing else, and the tokens are the same', async () => {
    const tokens = [await link(people[0]), await link(people[1]), await link(people[2])];
    const before = await rows();
    expect(await rotate()).toEqual({ kid: 'k2', resealed: 3, broken: 0, left: 0 });
    const after = await rows();
    expect(after.map(({ key_ids }) => key_ids)).toEqual(['k2', 'k2', 'k2']);
    expect(after.map(others)).toEqual(before.map(others));
    const opened = await Promise.all(
      after.map((row) => onlyNew.open(row.access_token, sealContext(row.account_id, 'access_token'))),
    );
    expect(opened.toSorted()).toEqual(tokens.toSorted());
    for (const row of after) {
      await onlyNew.open(row.id_token, sealContext(row.account_id, 'id_token'));
      await onlyNew.open(row.refresh_token, sealContext(row.account_id, 'refresh_token'));
    }
    expect(await rotate()).toEqual({ kid: 'k2', resealed: 0, broken: 0, left: 0 });
  });

  test('STO-20 leaves a token alone that does not open, tells whose, and does the rest', async () => {
    await link(people[0]);
    await link(people[1]);
    const [victim] = await rows();
    await world
      .em()
      .execute(`update sealed_tokens set refresh_token = 'x' || refresh_token where account_id = ?`, [
        victim?.account_id,
      ]);
    const told: unknown[] = [];
    const rotation = await rotateKeys(world.em(), both, (accountId, { code }) =>
      told.push([accountId, code]),
    );
    expect(rotation).toEqual({ kid: 'k2', resealed: 1, broken: 1, left: 0 });
    expect(told).toEqual([[victim?.account_id, 'SEAL_MALFORMED']]);
    expect((await rows()).map(({ key_ids }) => key_ids)).toEqual(['k1', 'k2']);
  });

  test.each(['a refresh', 'a new link', 'an unlink'])(
    'STO-20 never writes over %s that comes between reading and writing',
    async (change) => {
      const token = await link(people[0]);
      let changed = '';
      const meanwhile: TokenCipher = {
        ...both,
        seal: async (plaintext, context) => {
          if (changed === '') {
            changed = 'under way';
            changed = await make(change, token);
          }
          return both.seal(plaintext, context);
        },
      };
      const rotation = await rotateKeys(world.em(), meanwhile, () => undefined);
      expect(rotation).toMatchObject({ broken: 0, left: 0 });
      const after = await rows();
      expect(after.map(({ key_ids }) => key_ids)).toEqual(change === 'an unlink' ? [] : ['k2']);
      const opened = await Promise.all(
        after.map((row) => onlyNew.open(row.access_token, sealContext(row.account_id, 'access_token'))),
      );
      expect(opened).toEqual(change === 'an unlink' ? [] : [changed]);
    },
  );

  test('refuses a first key with other bytes than the one that rows are sealed with, and changes nothing', async () => {
    await link(people[0]);
    await link(people[1]);
    await rotate();
    const before = await rows();
    const mistyped = createTokenCipher(parseKeyRing(randomKey('k2')));
    await expect(rotateKeys(world.em(), mistyped, () => undefined)).rejects.toThrow('the key "k2"');
    expect(await rows()).toEqual(before);
  });

  test('gives up, and says how many are left, while a server goes on sealing with another key', async () => {
    await link(people[0]);
    const stubborn: TokenCipher = { ...both, currentKid: 'k3' };
    const em = world.em();
    const undone = { fork: () => refusing(em) } as unknown as SqlEntityManager;
    expect(await rotateKeys(undone, stubborn, () => undefined)).toMatchObject({ resealed: 0, left: 1 });
  });

  /** Somebody else is always faster. */
  function refusing(em: SqlEntityManager): SqlEntityManager {
    const fork = em.fork();
    const execute = fork.execute.bind(fork);
    fork.execute = (async (sql: string, params: unknown[], method: 'run') =>
      sql.startsWith('update') ? { affectedRows: 0 } : execute(sql, params, method)) as typeof fork.execute;
    return fork;
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

  function rotate(): ReturnType<typeof rotateKeys> {
    return rotateKeys(world.em(), both, () => undefined);
  }

  function rows(): Promise<Row[]> {
    return world.em().execute('select * from sealed_tokens order by account_id');
  }

  function others({ access_token, id_token, refresh_token, key_ids, ...rest }: Row): unknown {
    expect([access_token, id_token, refresh_token].every((sealed) => sealed.length > 100)).toBe(true);
    expect(key_ids).not.toBe('');
    return rest;
  }
});
