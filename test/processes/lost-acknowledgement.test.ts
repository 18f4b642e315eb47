import type { Fault } from '../../src/dev/instruments/faults.js';
import { eventually } from '../kit/eventually.js';
import { useServers, useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { type LinkedPerson, startProxiedServers, type Servers } from '../kit/servers.js';
import { WAITING_FOR_LOCKS } from '../kit/test-database.js';

/** Reads go on; a claim waits for no lock of a row. */
const LOCK = 'lock table sealed_tokens in share mode';

onPostgres('a statement that the database executed and whose acknowledgement was lost', () => {
  const world = useStarted(() => startProxiedServers(2, { REFRESH_BACKOFF_MS: '1' }));
  let person: LinkedPerson;
  beforeEach(async () => {
    world.rollup.reset();
    person = await world.linkExpired();
  });

  /** Lets statements that write reach the database, and cuts every connection before they are acknowledged. */
  async function losingAcknowledgements(
    act: () => Promise<unknown>,
    done: (row: Record<string, unknown>) => boolean,
  ): Promise<void> {
    const { proxy } = world;
    let acting: Promise<unknown> | undefined;
    await world.em().transactional(async (tx) => {
      await tx.execute(LOCK);
      acting = act();
      await eventually(async () => {
        expect(await world.em().execute(WAITING_FOR_LOCKS)).not.toHaveLength(0);
      });
      proxy.mode = 'hold';
    });
    await eventually(async () => expect(done(await world.row(person.accountId))).toBe(true));
    proxy.cut();
    proxy.mode = 'pass';
    await acting;
  }

  test.each([{ rotates: false }, { rotates: true }])(
    'a claim: the provider was not called, so no new link is needed (provider rotates: $rotates)',
    async ({ rotates }) => {
      await setProviderRotates(rotates);
      const renewal = (): Promise<unknown> => world.renew(world.server, person.bearer);
      await losingAcknowledgements(renewal, ({ lease_id: leaseId }) => leaseId !== null);
      await expectRecovery();
      expect(world.rollup.calls.refreshesOf(person.sub)).toBe(1);
    },
  );

  test('VLT-63 a claim that the database does not execute in time ends there, and leaves nothing', async () => {
    await setProviderRotates(true);
    const shortTimeout = await world.add({ DATABASE_TIMEOUT_MS: '1000' });
    await world.em().transactional(async (tx) => {
      await tx.execute(LOCK);
      const renewal = await world.renew(shortTimeout, person.bearer);
      expect(renewal).toMatchObject({ code: 'INTERNAL_SERVER_ERROR' });
      // Its release waits by now, perhaps.
      const claims = `${WAITING_FOR_LOCKS} and query like '%set lease_id = item.%'`;
      expect(await world.em().execute(claims)).toEqual([]);
    });
    expect(await world.row(person.accountId)).toMatchObject({ lease_id: null });
    expect(await world.renew(world.server, person.bearer)).toMatchObject({ token: expect.any(String) });
    expect(world.rollup.calls.refreshesOf(person.sub)).toBe(1);
  });

  test.each([{ rotates: false }, { rotates: true }])(
    'a release after an error response is retried or was executed (provider rotates: $rotates)',
    async ({ rotates }) => {
      await setProviderRotates(rotates);
      const response = Promise.withResolvers<void>();
      const arrival = Promise.withResolvers<void>();
      const fault: Fault = { status: 503, hold: response.promise, onArrival: arrival.resolve };
      world.rollup.switches.faults.refresh.queue.push(fault);
      const late = world.renew(world.server, person.bearer);
      await arrival.promise;
      const { proxy } = world;
      proxy.mode = 'refuse';
      proxy.cut();
      const { refused } = proxy;
      response.resolve();
      await eventually(() => expect(proxy.refused).toBeGreaterThan(refused));
      proxy.mode = 'pass';
      await late;
      await expectRecovery();
      expect(world.rollup.calls.refreshesOf(person.sub)).toBe(2);
    },
  );

  const setProviderRotates = (rotates: boolean): Promise<void> => setRotation(world, person, rotates);

  /** Gives the holder time to release the lease; otherwise ends it. */
  async function expectRecovery(): Promise<void> {
    const released = async (): Promise<void> =>
      expect(await world.row(person.accountId)).toMatchObject({ lease_id: null });
    await eventually(released, 3_000).catch(() => world.elapse(person.accountId, 'lease_expires_at'));
    await eventually(async () => {
      const renewals = await Promise.all(world.servers.map((server) => world.renew(server, person.bearer)));
      expect(new Set(renewals.map(({ token }) => token))).toEqual(new Set([expect.any(String)]));
    }, 2_000);
  }
});

describe('a release whose acknowledgement arrives', () => {
  const world = useServers(1, { env: { REFRESH_BACKOFF_MS: '1' } });

  test.each([{ rotates: false }, { rotates: true }])(
    'leaves no lease (provider rotates: $rotates)',
    async ({ rotates }) => {
      const person = await world.linkExpired();
      await setRotation(world, person, rotates);
      world.rollup.switches.faults.refresh.queue.push({ status: 503 });
      expect(await world.renew(world.server, person.bearer)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
      expect(await world.row(person.accountId)).toMatchObject({ lease_id: null, failure_count: 1 });
      await world.elapse(person.accountId, 'retry_at');
      expect(await world.renew(world.server, person.bearer)).toMatchObject({ token: expect.any(String) });
    },
  );
});

/** Sets what the server learned from earlier responses of the provider. */
async function setRotation(world: Servers, { accountId }: LinkedPerson, rotates: boolean): Promise<void> {
  const sql = 'update sealed_tokens set refresh_token_rotates = ? where account_id = ?';
  await world.em().execute(sql, [rotates, accountId]);
}
