import { createGate } from '../../src/dev/instruments/faults.js';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { useServers } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { type LinkedPerson, type Renewal, type Server, type Servers } from '../kit/servers.js';

const CALLERS = 8;
const SHORT_TIMEOUTS = { REFRESH_LEASE_SECONDS: '4', ROLLUP_TIMEOUT_MS: '3000' };

describe('a lease holder that dies', () => {
  // Much longer than the lease, so that callers wait until the lease of a dead holder ends.
  const world = useServers(4, { env: { ...SHORT_TIMEOUTS, REFRESH_WAIT_MS: '20000' } });
  let person: LinkedPerson;
  beforeEach(async () => {
    person = await world.linkExpired();
  });

  test('leaves a lease that a later started server takes over with one call', async () => {
    await world.em().execute(
      `update sealed_tokens set lease_id = gen_random_uuid(), lease_expires_at = clock_timestamp()
       where account_id = ?`,
      [person.accountId],
    );
    const tokens = new Set(await tokensFrom(world, [await world.add()], person));
    expect(tokens).toEqual(new Set([expect.any(String)]));
    expect(tokens).not.toContain(person.token);
    expect(world.rollup.calls.refreshesOf(person.sub)).toBe(1);
    expect(await world.row(person.accountId)).toMatchObject(idleRow(2));
  });

  test('leaves an unknown outcome: Rollup ID does not rotate, so the call is repeated', async () => {
    world.rollup.switches.faults.refresh.queue.push({ reset: 'after-headers' });
    expect(await world.renew(world.server, person.bearer)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    await world.elapse(person.accountId, 'retry_at');
    const tokens = new Set(await tokensFrom(world, world.servers, person));
    expect(tokens).toEqual(new Set([expect.any(String)]));
    expect(world.rollup.calls.refreshesOf(person.sub)).toBe(2);
    expect(await world.row(person.accountId)).toMatchObject(idleRow(2));
  });

  onPostgres('by SIGKILL', () => {
    test('leaves its lease to expire, and one other process repeats the call for all callers', async () => {
      const [holder, ...others] = [await world.add(), ...world.servers.slice(0, 4)];
      const gate = createGate();
      world.rollup.switches.faults.refresh.queue.push(gate.fault);
      const lost = world.renew(holder, person.bearer).catch(() => 'connection lost');
      await gate.arrived;
      await holder.stop('SIGKILL');
      gate.release();
      expect(await lost).toBe('connection lost');

      const tokens = new Set(await tokensFrom(world, others, person));
      expect(tokens).toEqual(new Set([expect.any(String)]));
      expect(world.rollup.calls.refreshesOf(person.sub)).toBe(2);
      expect(await world.row(person.accountId)).toMatchObject(idleRow(2));
      expect(others.filter((server) => tookOver(server, person))).toHaveLength(1);
    });
  });
});

onPostgres('a frozen lease holder', () => {
  const world = useServers(2, { env: { REFRESH_LEASE_SECONDS: '20', ROLLUP_TIMEOUT_MS: '19000' } });
  let holder: Server;
  let other: Server;
  let ada: Person;
  let person: LinkedPerson;
  beforeEach(async () => {
    [other, holder] = world.servers as [Server, Server];
    ada = createPerson();
    person = await world.linkExpired(ada);
  });

  /** Freezes the holder during its call; the response, if any, arrives while it is frozen. */
  async function freeze({ responded }: { responded: boolean }): Promise<{ late: Promise<Renewal> }> {
    const gate = createGate();
    world.rollup.switches.faults.refresh.queue.push(gate.fault);
    const late = world.renew(holder, person.bearer);
    await gate.arrived;
    holder.run?.process.kill('SIGSTOP');
    if (responded) gate.release();
    return { late };
  }

  test.each([
    { responded: true, event: 'superseded' },
    { responded: false, event: 'failed' },
  ])(
    'that resumes too late (response arrived: $responded) writes nothing and returns no older token',
    async ({ responded, event }) => {
      if (!responded) holder = await world.add(SHORT_TIMEOUTS);
      const { late } = await freeze({ responded });
      await world.elapse(person.accountId, 'lease_expires_at');
      const renewed = await world.renew(other, person.bearer);
      expect(renewed.token).not.toBe(person.token);
      const stored = await world.row(person.accountId);
      expect(stored).toMatchObject(idleRow(2));

      holder.run?.process.kill('SIGCONT');
      expect(await late).toEqual(renewed);
      expect(holder.output()).toContain(`"event":"${event}"`);
      expect(await world.row(person.accountId)).toEqual(stored);
      expect(await world.renew(holder, person.bearer)).toEqual(renewed);
      expect(world.rollup.calls.refreshesOf(person.sub)).toBe(2);
    },
  );

  test('that resumes after an unlink and a new link does not change the new link', async () => {
    const { late } = await freeze({ responded: true });
    const { data } = await other.ask(
      UnlinkRollupAccountDocument,
      { input: { accountId: person.accountId } },
      { token: person.bearer },
    );
    expect(data.unlinkRollupAccount.unlinkedAccountId).toBe(person.accountId);
    const again = await world.linkPerson(ada);
    const stored = await world.row(again.accountId);

    holder.run?.process.kill('SIGCONT');
    expect(await late).toMatchObject({ token: undefined, code: 'ACCOUNT_NOT_FOUND' });
    expect(await world.row(person.accountId)).toEqual({});
    expect(await world.row(again.accountId)).toEqual(stored);
    expect(await world.renew(holder, again.bearer)).toMatchObject({ token: again.token });
    expect(world.rollup.calls.refreshesOf(person.sub)).toBe(1);
  });
});

/** The columns of a row without lease and back-off. */
function idleRow(generation: number): Record<string, unknown> {
  return { generation, status: 'ACTIVE', lease_id: null, lease_expires_at: null, retry_at: null };
}

/** The tokens of many concurrent callers at each of these servers. */
async function tokensFrom(
  world: Servers,
  servers: readonly Server[],
  { bearer }: LinkedPerson,
): Promise<(string | undefined)[]> {
  const callers = servers.flatMap((server) => Array.from({ length: CALLERS }, () => server));
  const renewals = await Promise.all(callers.map((server) => world.renew(server, bearer)));
  return renewals.map(({ token }) => token);
}

function tookOver(server: Server, { accountId }: LinkedPerson): boolean {
  return server.output().includes(`"event":"taken_over","accountId":"${accountId}"`);
}
