import { createGate, type Gate } from '../../src/dev/instruments/faults.js';
import { MeDocument } from '../generated/graphql.js';
import { createActor, createOperations, EXPECTED_REJECTIONS } from '../kit/actors.js';
import { eventually } from '../kit/eventually.js';
import { useServers, useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { findViolations, History } from '../kit/history.js';
import { type PostgresCluster, startPostgresCluster } from '../kit/postgres-cluster.js';
import { serverAt } from '../kit/renewals.js';
import {
  type LinkedPerson,
  type Renewal,
  type Server,
  type Servers,
  startProxiedServers,
  startServers,
} from '../kit/servers.js';
import { ON_POSTGRES, WAITING_FOR_LOCKS } from '../kit/test-database.js';
import type { TcpProxy } from '../kit/tcp-proxy.js';

/** Only these end a request whose database does not respond: its own deadline is longer than a test may take. */
const TIMEOUTS = { DATABASE_TIMEOUT_MS: '1000', OPERATION_TIMEOUT_MS: '600000' };

onPostgres('a database that crashes', () => {
  let cluster: PostgresCluster;
  const world = useStarted(async (closeToo) => {
    cluster = closeToo(await startPostgresCluster());
    return startServersOn(cluster.url);
  });

  test('RFR-20 a crash during a refresh, twenty times: no server exits, all recover, at most one extra call', async () => {
    const person = await world.linkPerson();
    for (let round = 1; round <= 20; round += 1) {
      await eventually(() => world.expire(person.accountId));
      const callsBefore = world.rollup.calls.refreshesOf(person.sub);
      const { gate, renewals } = renewEverywhere(world, person);
      await gate.arrived;
      const crash = cluster.crash();
      // Alternates: the response arrives while the database is down, or after its recovery.
      if (round % 2 === 0) await crash;
      gate.release();
      await crash;
      const failed = (await renewals).filter(({ token }) => token === undefined);
      expect(failed.filter(({ code }) => code !== 'INTERNAL_SERVER_ERROR')).toEqual([]);
      await expectSameToken(world, person);
      expect([1, 2]).toContain(world.rollup.calls.refreshesOf(person.sub) - callsBefore);
    }
    for (const { run } of world.servers) expect(run?.process.exitCode).toBeNull();
  });
});

onPostgres('a lost database connection', () => {
  const world = useStarted(() => startProxiedServers(4, TIMEOUTS));
  let proxy: TcpProxy;
  let person: LinkedPerson;
  beforeAll(() => void ({ proxy } = world));
  beforeEach(async () => (person = await world.linkPerson()));

  test('RFR-21 between the response and the commit, ten times: the row is consistent, at most one extra call', async () => {
    for (let round = 1; round <= 10; round += 1) {
      const { generation: before } = await world.row(person.accountId);
      const callsBefore = world.rollup.calls.refreshesOf(person.sub);
      await world.expire(person.accountId);
      const { gate, renewals } = renewEverywhere(world, person);
      await gate.arrived;
      // Alternates: there is no connection for the statement, or it is cut during the statement.
      await (round % 2 === 0 ? cutBeforeWriting(gate) : cutWhileWriting(gate));
      await renewals;
      await expectSameToken(world, person);
      const extraCalls = world.rollup.calls.refreshesOf(person.sub) - callsBefore - 1;
      expect([0, 1]).toContain(extraCalls);
      expect(await world.row(person.accountId)).toMatchObject({
        status: 'ACTIVE',
        generation: Number(before) + 1,
        lease_id: null,
        failure_count: 0,
      });
    }
  });

  async function cutBeforeWriting(gate: Gate): Promise<void> {
    proxy.mode = 'refuse';
    proxy.cut();
    const refused = proxy.refused;
    gate.release();
    await eventually(() => expect(proxy.refused).toBeGreaterThan(refused));
    proxy.mode = 'pass';
  }

  async function cutWhileWriting(gate: Gate): Promise<void> {
    await world.em().transactional(async (tx) => {
      await tx.execute('select 1 from sealed_tokens where account_id = ? for update', [person.accountId]);
      gate.release();
      await eventually(async () => {
        expect(await world.em().execute(WAITING_FOR_LOCKS)).not.toHaveLength(0);
      });
      proxy.cut();
    });
  }

  test('RFR-22 that drops all packets: 503 within the timeouts for every caller, and recovery afterwards', async () => {
    proxy.mode = 'hold';
    await world.expire(person.accountId);
    const { server } = world;
    for (let wave = 0; wave < 3; wave += 1) {
      const responses = await Promise.all(
        Array.from({ length: 60 }, () => server.ask(MeDocument, {}, { token: person.bearer })),
      );
      expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([503]));
      for (const { errors } of responses) {
        expect(errors[0]?.extensions).toEqual({
          code: 'INTERNAL_SERVER_ERROR',
          correlationId: expect.any(String),
        });
      }
    }
    expect(await world.renew(server, person.bearer)).toMatchObject({ code: 'INTERNAL_SERVER_ERROR' });
    expect(world.rollup.calls.refreshesOf(person.sub)).toBe(0);
    proxy.mode = 'pass';
    await expectSameToken(world, person);
    expect(world.rollup.calls.refreshesOf(person.sub)).toBe(1);
  });
});

describe('a link that is refreshed, unlinked and linked again concurrently', () => {
  const world = useServers(4);

  // One process proves less: the operations of several overlap in the database.
  const rounds = ON_POSTGRES ? 200 : 50;

  test(`RFR-24 ${rounds} times: no deadlock, no internal error, every invariant holds`, async () => {
    const history = new History();
    const operations = createOperations(world, history);
    const actor = await createActor(world);
    const at = (index: number): Server => serverAt(world, index);
    await operations.link(world.server, actor);
    for (let round = 0; round < rounds; round += 1) {
      // The operations overlap differently in every round.
      world.rollup.switches.faults.refresh.standing = { delayMs: round % 16 };
      await world.expire(actor.accountId);
      await Promise.all([
        operations.read(at(round), actor),
        afterRoundTrips(at(round), round % 5, () => operations.unlink(at(round + 1), actor)),
        afterRoundTrips(at(round), round % 3, () => operations.link(at(round + 2), actor)),
        afterRoundTrips(at(round), round % 7, () =>
          operations.link(at(round + 3), actor, { signedIn: true }),
        ),
        afterRoundTrips(at(round), round % 4, () => operations.read(at(round + 3), actor)),
      ]);
      await operations.read(at(round), actor);
      await operations.link(at(round + 1), actor);
    }
    const calls = world.rollup.calls.refreshesOf(actor.person.sub);
    const costs = new Map([[actor.person.sub, { calls, expiries: rounds, faults: 0 }]]);
    expect(findViolations(history.operations, costs)).toEqual([]);
    expect(calls).toBeGreaterThan(0);
    const expected = new Set(['DONE', ...EXPECTED_REJECTIONS]);
    expect([...operations.codes.keys()].filter((code) => !expected.has(code))).toEqual([]);
    for (const server of world.servers) expect(server.output()).not.toContain('internal error');
    const database = 'select deadlocks::int from pg_stat_database where datname = current_database()';
    expect(await world.em().execute(database)).toEqual([{ deadlocks: 0 }]);
  });
});

/** Acts after a number of round trips. */
async function afterRoundTrips({ url }: Server, trips: number, act: () => Promise<void>): Promise<void> {
  for (let trip = 0; trip < trips; trip += 1) await fetch(`${url}/healthz`);
  await act();
}

/** Starts servers on another database server than `TEST_DATABASE_URL`. */
async function startServersOn(url: string): Promise<Servers> {
  const usual = { ...process.env };
  process.env['TEST_DATABASE_URL'] = url;
  delete process.env['SERVER_TEMPLATE'];
  try {
    return await startServers(4);
  } finally {
    Object.assign(process.env, usual);
  }
}

/** Starts three renewals at each server, and holds the first call to the provider at a gate. */
function renewEverywhere(
  world: Servers,
  { bearer }: LinkedPerson,
): { gate: Gate; renewals: Promise<Renewal[]> } {
  const gate = createGate();
  world.rollup.switches.faults.refresh.queue = [gate.fault];
  const callers = [...world.servers, ...world.servers, ...world.servers];
  return { gate, renewals: Promise.all(callers.map((server) => world.renew(server, bearer))) };
}

/** Eventually all servers return the same token. */
async function expectSameToken(world: Servers, { bearer }: LinkedPerson): Promise<void> {
  await eventually(async () => {
    const renewals = await Promise.all(world.servers.map((server) => world.renew(server, bearer)));
    expect(new Set(renewals.map(({ token }) => token))).toEqual(new Set([expect.any(String)]));
  });
}
