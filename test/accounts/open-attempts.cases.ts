import { createHash } from 'node:crypto';
import { deleteExpiredLinks } from '../../src/accounts/pending-link.repository.js';
import { StartRollupLinkDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';
import type { StartPayload } from '../kit/link-flow.js';
import { onPostgres } from '../kit/needs.js';
import type { World } from '../kit/world.js';

const PER_ADDRESS = 5;

describe('open link attempts', () => {
  const world = useWorld();

  test('LNK-31 a user keeps the newest twenty', async () => {
    const { token } = await world.linkPerson();
    const begun: StartPayload[] = [];
    for (let round = 0; round < 25; round += 1) {
      begun.push(await world.start(['openid'], token));
    }
    expect(await storedStates(world)).toEqual(begun.slice(-20).map(hashOf).toSorted());
    await world.start(['openid']);
    expect(await storedStates(world)).toHaveLength(21);
  });

  onPostgres('while other transactions lock them', () => {
    test('LNK-31 a start does not wait for the locks, which could deadlock', async () => {
      const { token } = await world.linkPerson();
      for (let begun = 0; begun < 25; begun += 1) await world.start(['openid'], token);
      await world.em().transactional(async (tx) => {
        await tx.execute('select * from pending_link for update');
        const begun = await Promise.all(Array.from({ length: 3 }, () => world.start(['openid'], token)));
        expect(begun.filter(({ authorizationUrl }) => !authorizationUrl)).toEqual([]);
      });
      await world.start(['openid'], token);
      expect(await storedStates(world)).toHaveLength(20);
    });

    test('VLT-61 are purged by one process at a time', async () => {
      await insertAttempts(world, 10, '2 hours');
      await world.em().transactional(async (tx) => {
        expect(await deleteExpiredLinks(tx, 3)).toBe(3);
        expect(await deleteExpiredLinks(world.em(), 3)).toBe(0);
      });
      expect(await deleteExpiredLinks(world.em(), 3)).toBe(3);
    });
  });

  test('VLT-61 that ended an hour ago are purged a batch at a time, and never by a request', async () => {
    await insertAttempts(world, 5, '61 minutes');
    await insertAttempts(world, 1, '59 minutes');
    await world.start();
    expect(await storedStates(world)).toHaveLength(7);
    expect(await deleteExpiredLinks(world.em(), 3)).toBe(3);
    expect(await deleteExpiredLinks(world.em(), 3)).toBe(2);
    expect(await deleteExpiredLinks(world.em(), 3)).toBe(0);
    expect(await storedStates(world)).toHaveLength(2);
  });
});

describe('open link attempts of one address', () => {
  const world = useWorld({
    env: { OPEN_LINKS_PER_ADDRESS: String(PER_ADDRESS), TRUST_PROXY: '127.0.0.1' },
  });

  test('VLT-62 are the newest few, whoever began them, and those of other addresses stay', async () => {
    const other = await startFrom('192.0.2.1');
    const network = ['2001:db8::1', '2001:db8::2', '2001:db8:0:0:ffff::3'];
    const begun: StartPayload[] = [];
    for (let round = 0; round < 8; round += 1) {
      begun.push(await startFrom(network[round % 3] ?? ''));
    }
    const kept = [other, ...begun.slice(-PER_ADDRESS)];
    expect(await storedStates(world)).toEqual(kept.map(hashOf).toSorted());
    expect(JSON.stringify(await world.rows('pending_link'))).not.toContain('2001:db8');
  });

  async function startFrom(address: string): Promise<StartPayload> {
    const input = { redirectUri: world.config.rollup.redirectUris[0] ?? '', scopes: ['openid'] };
    const headers = { 'x-forwarded-for': address };
    return (await world.ask(StartRollupLinkDocument, { input }, { headers })).data.startRollupLink;
  }
});

/** The hashes of the states that are stored, sorted. */
async function storedStates(world: World): Promise<string[]> {
  return (await world.rows('pending_link')).map((row) => String(row['state_hash'])).toSorted();
}

function hashOf({ state }: StartPayload): string {
  return createHash('sha256')
    .update(state ?? '')
    .digest('hex');
}

/** Inserts attempts that ended so long ago. */
async function insertAttempts(world: World, count: number, ago: string): Promise<void> {
  await world.em().execute(
    `insert into pending_link (state_hash, link_token_hash, nonce_hash, redirect_uri, expires_at)
     select gen_random_uuid(), '', '', '', clock_timestamp() - ?::interval from generate_series(1, ?)`,
    [ago, count],
  );
}
