import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { ProviderMisconfiguredError, ProviderUnavailableError } from '../../src/errors.js';
import type { ClientRegistration } from '../../src/token-set.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { insertRevocation, takeDueRevocations } from '../../src/vault/pending-revocation.repository.js';
import { RevocationOutbox, type RevocationOutboxDeps } from '../../src/vault/revocation-outbox.js';
import { putSealed } from '../../src/vault/sealed-tokens.repository.js';
import { createTokenCipher } from '../../src/vault/token-cipher.js';
import { randomKey } from '../kit/server-env.js';
import { useVaultDatabase } from '../kit/vault-database.js';

const REGISTRATION = { issuer: 'https://issuer.example', clientId: 'client' };
const HOUR_MS = 3_600_000;
const ring = parseKeyRing(randomKey('k1'));
const cipher = createTokenCipher(ring, REGISTRATION);

type Row = Readonly<Record<string, unknown>>;

describe('the outbox of revocations', () => {
  const database = useVaultDatabase();
  const em = (): SqlEntityManager => database.em();
  beforeEach(() => em().execute('delete from pending_revocation'));

  test('VLT-98 revokes what was added, once, and keeps nothing of it', async () => {
    const { outbox, calls, told, accountId } = await withStored();
    await expect(em().transactional((tx) => outbox.addStored(tx, accountId))).resolves.toBe(true);
    await expect(insertRevocation(em(), REGISTRATION, { ...(await stored(accountId)) })).resolves.toBe(
      undefined,
    );
    expect(await pending()).toHaveLength(2);
    await work(outbox);
    await work(outbox);
    expect(calls).toEqual(['refresh token', 'refresh token']);
    expect(await pending()).toEqual([]);
    expect(told).toEqual([
      ['revoked', accountId],
      ['revoked', accountId],
    ]);
  });

  test('VLT-98 revokes more than a batch at once, also what is added meanwhile', async () => {
    const { outbox, calls, accountId } = await withStored({}, async () => {
      if (calls.length === 1) {
        await em().transactional((tx) => outbox.addStored(tx, accountId));
        outbox.run();
      }
      return true;
    });
    for (let count = 0; count < 25; count += 1) {
      await insertRevocation(em(), REGISTRATION, await stored(accountId));
    }
    await work(outbox);
    expect(calls).toHaveLength(26);
    expect(await pending()).toEqual([]);
  });

  test.each([
    ['the same refresh token', {}, 'refresh token', false],
    ['another one', {}, 'another', true],
    ['another one, with ROLLUP_REVOKE_REPLACED=off', { revokeReplaced: false }, 'another', false],
  ])(
    'VLT-99 what a link replaces by %s is added, or not (%j)',
    async (_title, deps, replacement, isAdded) => {
      const { outbox, calls, accountId } = await withStored(deps);
      const added = await em().transactional((tx) => outbox.addReplaced(tx, accountId, [replacement]));
      expect(added).toBe(isAdded);
      await work(outbox);
      expect(calls).toEqual(isAdded ? ['refresh token'] : []);
    },
  );

  test('VLT-99 what does not open is not added, since it may be the same', async () => {
    const { outbox, accountId } = await withStored();
    await em().execute(`update sealed_tokens set data_key = 'damaged'`);
    expect(await em().transactional((tx) => outbox.addReplaced(tx, accountId, ['another']))).toBe(false);
    expect(await pending()).toEqual([]);
  });

  test.each([['addStored'], ['addReplaced']] as const)(
    'VLT-101 %s adds no refresh token of another issuer or client, and none where there is none',
    async (method) => {
      const { outbox, accountId } = await withStored();
      const add = (id: string) => em().transactional((tx) => outbox[method](tx, id, ['another']));
      expect(await add(randomUUID())).toBe(false);
      for (const change of [
        `client_id = 'other'`,
        `client_id = 'client', issuer = 'https://other.example'`,
      ]) {
        await em().execute(`update sealed_tokens set ${change}`);
        expect(await add(accountId)).toBe(false);
      }
      await em().execute('update sealed_tokens set issuer = ?, refresh_token = null', [REGISTRATION.issuer]);
      expect(await add(accountId)).toBe(false);
      expect(await pending()).toEqual([]);
    },
  );

  test('VLT-100 several processes share what is due: each is revoked by one of them', async () => {
    const { outbox, calls, accountId } = await withStored();
    const others = [startOutbox({}, calls), startOutbox({}, calls)];
    for (let count = 0; count < 30; count += 1) {
      await insertRevocation(em(), REGISTRATION, await stored(accountId));
    }
    await Promise.all([outbox, ...others.map((other) => other.outbox)].map(work));
    expect(calls).toHaveLength(30);
    expect(await pending()).toEqual([]);
  });

  test.each([
    ['an outage', new ProviderUnavailableError(0)],
    ['credentials that are rejected', new ProviderMisconfiguredError()],
  ])(
    'VLT-100 after %s it comes again when its back-off is over, and the provider is back',
    async (_title, fault) => {
      let isDown = true;
      const { outbox, calls, told, accountId } = await withStored({}, async () => {
        if (isDown) throw fault;
        return true;
      });
      await insertRevocation(em(), REGISTRATION, await stored(accountId));
      await work(outbox);
      await work(outbox);
      expect(calls).toHaveLength(1);
      expect(told).toEqual([['revocation_failed', accountId]]);
      isDown = false;
      await elapse();
      await work(outbox);
      expect(told.at(-1)).toEqual(['revoked', accountId]);
      expect(await pending()).toEqual([]);
    },
  );

  test('VLT-100 the back-off doubles from five seconds to an hour, and is never shorter than a call', async () => {
    const { accountId } = await withStored();
    await insertRevocation(em(), REGISTRATION, await stored(accountId));
    const seconds: number[] = [];
    for (let failures = 0; failures < 25; failures += 1) {
      await takeDueRevocations(em(), REGISTRATION, 15_000, 10);
      seconds.push(await backOffSeconds());
      await elapse();
    }
    expect(seconds.slice(0, 10)).toEqual([15, 15, 20, 40, 80, 160, 320, 640, 1_280, 2_560]);
    expect(new Set(seconds.slice(10))).toEqual(new Set([3_600]));
    await em().execute('update pending_revocation set failure_count = 0');
    await takeDueRevocations(em(), REGISTRATION, 1, 10);
    expect(await backOffSeconds()).toBe(5);
  });

  test('VLT-100 after a day it is tried once more, and given up with a warning', async () => {
    const { outbox, calls, told, accountId } = await withStored({}, async () => {
      throw new ProviderUnavailableError(0);
    });
    await insertRevocation(em(), REGISTRATION, await stored(accountId));
    await age(23);
    await work(outbox);
    expect(await pending()).toHaveLength(1);
    await age(25);
    await elapse();
    await work(outbox);
    expect(calls).toHaveLength(2);
    expect(told).toEqual([
      ['revocation_failed', accountId],
      ['revocation_given_up', accountId],
    ]);
    expect(await pending()).toEqual([]);
  });

  test('VLT-101 one that does not open is told and removed, without a call', async () => {
    const { outbox, calls, told, accountId } = await withStored();
    await insertRevocation(em(), REGISTRATION, { ...(await stored(accountId)), dataKey: 'damaged' });
    await work(outbox);
    expect(told).toEqual([['seal_broken', accountId]]);
    expect(calls).toEqual([]);
    expect(await pending()).toEqual([]);
  });

  test('VLT-101 one whose key is missing here waits for a process that has it', async () => {
    const { outbox, calls, accountId } = await withStored();
    await insertRevocation(em(), REGISTRATION, await stored(accountId));
    const without = createTokenCipher(parseKeyRing(randomKey('k2')), REGISTRATION);
    const { outbox: lacking, told } = startOutbox({ cipher: without, isKnownKey: async () => false });
    await work(lacking);
    expect(told).toEqual([
      ['key_missing', accountId],
      ['revocation_failed', accountId],
    ]);
    await elapse();
    await work(outbox);
    expect(calls).toEqual(['refresh token']);
  });

  test.each<[string, Partial<ClientRegistration>]>([
    ['another issuer', { issuer: 'https://other.example' }],
    ['another client', { clientId: 'other' }],
  ])('VLT-101 one of %s rests as it is', async (_title, other) => {
    const { accountId } = await withStored();
    await insertRevocation(em(), REGISTRATION, await stored(accountId));
    const before = await pending();
    const stranger = createTokenCipher(ring, { ...REGISTRATION, ...other });
    const { outbox: strange, calls } = startOutbox({ cipher: stranger });
    await work(strange);
    expect(calls).toEqual([]);
    expect(await pending()).toEqual(before);
  });

  describe('VLT-119 the refresh token of a response that came too late', () => {
    const relink = async (accountId: string) => {
      const tokens = { accessToken: 'another', accessTokenIssuedAt: new Date(), scopes: [] };
      const link = await cipher.sealLink(accountId, { ...tokens, accessTokenExpiresAt: new Date() });
      return { ...link, accountId, pendingResponse: null };
    };

    test.each([
      ['of an account that was unlinked', {}, false, true],
      ['of an account that was unlinked, whatever is set', { revokeReplaced: false }, false, true],
      ['of an account that was linked again', {}, true, true],
      ['of an account that was linked again, as it is set', { revokeReplaced: false }, true, false],
      ['of a provider that revokes nothing', { canRevoke: async () => false }, false, false],
    ])('%s is revoked, or not (%j)', async (_title, deps, isRelinked, isRevoked) => {
      const { outbox, calls, accountId } = await withStored(deps);
      const token = await stored(accountId);
      await outbox.addSuperseded(token, isRelinked ? await relink(accountId) : undefined);
      await outbox.drain();
      expect(calls).toEqual(isRevoked ? ['refresh token'] : []);
    });

    test('of the link that is stored is left alone, also when its data key was wrapped anew', async () => {
      const { outbox, calls, accountId } = await withStored();
      const token = await stored(accountId);
      const content = { ...token, accessToken: null, idToken: null, pendingResponse: null };
      await outbox.addSuperseded(token, content);
      await outbox.drain();
      expect(calls).toEqual([]);
    });
  });

  test('VLT-102 where the provider turns out to have no endpoint, nothing is told and nothing is left', async () => {
    const { outbox, told, accountId } = await withStored({}, async () => false);
    await insertRevocation(em(), REGISTRATION, await stored(accountId));
    await work(outbox);
    expect(told).toEqual([]);
    expect(await pending()).toEqual([]);
  });

  test('VLT-100 a database that fails is told, and the next round goes on', async () => {
    const { calls, accountId } = await withStored();
    await insertRevocation(em(), REGISTRATION, await stored(accountId));
    const errors: unknown[] = [];
    const lost = new Error('connection lost');
    let isDown = true;
    const failing = { fork: () => (isDown ? fail(lost) : em()) } as unknown as SqlEntityManager;
    const other = startOutbox({ em: failing, onError: (error) => errors.push(error) }, calls);
    await work(other.outbox);
    expect(errors).toEqual([lost]);
    isDown = false;
    await work(other.outbox);
    expect(calls).toEqual(['refresh token']);
  });

  /** Stores the tokens of an account, beside an outbox. */
  async function withStored(
    deps: Partial<RevocationOutboxDeps> = {},
    revoke: RevocationOutboxDeps['revoke'] = async () => true,
  ) {
    const accountId = randomUUID();
    const tokens = { accessToken: 'access token', refreshToken: 'refresh token', scopes: [] };
    const accessTokenExpiresAt = new Date();
    await putSealed(
      em(),
      accountId,
      await cipher.sealLink(accountId, { ...tokens, accessTokenIssuedAt: new Date(0), accessTokenExpiresAt }),
    );
    return { ...startOutbox(deps, [], revoke), accountId };
  }

  function startOutbox(
    deps: Partial<RevocationOutboxDeps>,
    calls: string[] = [],
    revoke: RevocationOutboxDeps['revoke'] = async () => true,
  ) {
    const told: unknown[] = [];
    const outbox = new RevocationOutbox({
      em: em(),
      cipher,
      leaseMs: 15_000,
      revoke: (refreshToken) => {
        calls.push(refreshToken);
        return revoke(refreshToken);
      },
      canRevoke: async () => true,
      revokeReplaced: true,
      isKnownKey: async () => true,
      onRevocation: ({ type, accountId }) => told.push([type, accountId]),
      onEvent: ({ type, accountId }) => told.push([type, accountId]),
      onError: fail,
      ...deps,
    });
    return { outbox, calls, told };
  }

  async function stored(accountId: string) {
    const [row] = await em().execute<{ keyId: string; dataKey: string; refreshToken: string }[]>(
      `select key_id as "keyId", data_key as "dataKey", refresh_token as "refreshToken" from sealed_tokens
       where account_id = ?`,
      [accountId],
    );
    return { accountId, keyId: '', dataKey: '', refreshToken: '', ...row };
  }

  const pending = (): Promise<Row[]> => em().execute('select * from pending_revocation');
  const elapse = () => em().execute('update pending_revocation set retry_at = clock_timestamp()');
  const age = (hours: number) =>
    em().execute(
      `update pending_revocation set created_at = clock_timestamp() - ? * interval '1 millisecond'`,
      [hours * HOUR_MS],
    );

  async function backOffSeconds(): Promise<number> {
    const [row] = await em().execute<{ seconds: number }[]>(
      'select ceil(extract(epoch from retry_at - clock_timestamp()))::int as seconds from pending_revocation',
    );
    return row?.seconds ?? 0;
  }
});

async function work(outbox: RevocationOutbox): Promise<void> {
  outbox.run();
  await outbox.drain();
}

function fail(error: unknown): never {
  throw error;
}
