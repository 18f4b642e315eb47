import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createGate } from '../../src/dev/instruments/faults.js';
import { MeDocument, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { useServers, useStarted } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';
import { codesOf, renewConcurrently } from '../kit/renewals.js';
import { eventually, waitUntil } from '../kit/eventually.js';
import { createGraphqlClient } from '../kit/graphql-client.js';
import { startHaproxy } from '../kit/haproxy.js';
import { findFreePort } from '../kit/network.js';
import { type Server, startProcess } from '../kit/server.js';
import { startSteadyLoad } from '../kit/steady-load.js';
import { createDataDirectory, IN_EVERY_PROCESS, ON_POSTGRES } from '../kit/test-database.js';

/** So long that a machine with much else to do notices the readiness, and ends its load, before the listener closes. */
const DELAY_MS = 6_000;
/** How often each of the four servers is restarted. */
const ROUNDS = 3;
/** Longer than the load balancer needs to notice that a server is not ready. */
const BALANCED_DELAY_MS = '1000';

needs('postgres', 'haproxy')('four servers behind haproxy', () => {
  const all = useServers(1, { env: { SHUTDOWN_DELAY_MS: BALANCED_DELAY_MS } });
  let ports: number[];
  beforeAll(async () => (ports = await Promise.all(Array.from({ length: 4 }, findFreePort))));
  const haproxy = useStarted(() => startHaproxy(ports));

  test('HTP-12 restart one after the other, three times each under load, and no client sees an error', async () => {
    const running = new Map<number, Server>();
    for (const port of ports) running.set(port, await start(port));
    await eventually(async () => expect((await fetch(`${haproxy.url}/readyz`)).status).toBe(200));
    const { bearer } = await all.linkPerson();
    const load = startSteadyLoad(createGraphqlClient(haproxy.url), bearer);
    const codes: (number | string)[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const port of ports) {
        codes.push((await running.get(port)?.stop()) ?? 'none');
        running.set(port, await start(port));
      }
    }
    const { responses, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(responses).toBeGreaterThan(1_000);
    expect(codes).toEqual(Array.from({ length: ROUNDS * ports.length }, () => 0));
  }, 180_000);

  const start = (port: number): Promise<Server> => all.add({ PORT: String(port) });
});

describe('the shutdown of a server', () => {
  const all = useServers(1);
  const started: Server[] = [];
  const directories: string[] = [];

  afterEach(async () => {
    await Promise.all(started.splice(0).map((server) => server.stop('SIGKILL')));
    await Promise.all(directories.splice(0).map((path) => rm(path, { recursive: true, force: true })));
  });

  test('RFR-27 ten refreshes in flight at SIGTERM are finished and stored, and the exit code is 0', async () => {
    const server = await all.add();
    const people = await Promise.all(Array.from({ length: 10 }, () => all.linkExpired()));
    const gate = createGate();
    all.rollup.switches.faults.refresh.standing = gate.fault;
    const renewals = people.map(({ bearer }) => all.renew(server, bearer));
    await waitUntil(() => all.rollup.calls.refresh === people.length);
    const exit = server.stop('SIGTERM');
    await waitUntil(async () => (await readiness(server)) === 503);
    gate.release();
    expect(codesOf(await Promise.all(renewals))).toEqual([undefined]);
    expect(await exit).toBe(0);
    const rows = await Promise.all(people.map(({ accountId }) => all.row(accountId)));
    expect(rows.filter((row) => row['generation'] !== 2 || row['lease_id'] !== null)).toEqual([]);
    expect(all.rollup.calls.refresh).toBe(people.length);
  });

  test('RFR-27 a refresh whose caller has disconnected is finished and stored after SIGTERM too', async () => {
    const server = await all.add({ REFRESH_WAIT_MS: '50' });
    const { accountId, bearer } = await all.linkExpired();
    const gate = createGate();
    all.rollup.switches.faults.refresh.standing = gate.fault;
    expect(await all.renew(server, bearer)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    const exit = server.stop('SIGTERM');
    await delay(100);
    gate.release();
    expect(await exit).toBe(0);
    expect(await all.row(accountId)).toMatchObject({ generation: 2, lease_id: null });
    expect(all.rollup.calls.refresh).toBe(1);
  });

  test.each([1, 2])(
    'HTP-10 SIGTERM under load, %d times: no request fails, readiness drops first, exit 0',
    async (signals) => {
      const server = await startOnDirectory({ SHUTDOWN_DELAY_MS: String(DELAY_MS) });
      const gate = createGate();
      all.rollup.switches.faults.refresh.standing = gate.fault;
      all.rollup.switches.accessTokenLifetimeSeconds = 30; // inside the margin, so a renewal calls the provider
      const { bearer } = await all.linkPerson(undefined, server);
      const inFlight = all.renew(server, bearer);
      await gate.arrived;
      const load = startLoad(server, bearer, 16);
      await waitUntil(() => load.responses() > 200);
      const exits = Array.from({ length: signals }, () => server.stop('SIGTERM'));
      await waitUntil(async () => (await readiness(server)) === 503);
      const before = load.responses();
      await delay(200);
      await load.stop();
      gate.release();
      expect(load.failures).toEqual([]);
      expect(load.responses()).toBeGreaterThan(before);
      expect(await inFlight).toMatchObject({ token: expect.any(String) });
      expect(await Promise.all(exits)).toEqual(exits.map(() => 0));
      await expect(fetch(`${server.url}/healthz`)).rejects.toThrow('fetch failed');
    },
  );

  test.each(ON_POSTGRES ? ['PostgreSQL', 'the embedded database'] : ['the embedded database'])(
    'HTP-11 kill -9 and restart on %s: ready without manual steps, and every link is there',
    async (kind) => {
      const env: Record<string, string> = kind === 'PostgreSQL' ? {} : { DATABASE_URL: '' };
      const server = await startOnDirectory(env);
      const { bearer, sub, token } = await all.linkPerson(undefined, server);
      expect(await server.stop('SIGKILL')).toBe('SIGKILL');
      const [directory = ''] = directories;
      const locks = readdirSync(directory).filter((name) => name.startsWith('lock'));
      expect(locks).toHaveLength(kind === 'PostgreSQL' ? 0 : 1);
      const again = await startOnDirectory({ ...env, DATA_DIR: directory });
      expect(await readiness(again)).toBe(200);
      expect((await all.renew(again, bearer)).token).toBe(token);
      const { data } = await again.ask(MeDocument, {}, { token: bearer });
      expect(data.me?.rollupAccounts.map((account) => account.sub)).toEqual([sub]);
    },
  );

  /** Starts a process; without a database URL on a data directory of its own. */
  async function startOnDirectory(env: Readonly<Record<string, string>>): Promise<Server> {
    const directory = env['DATA_DIR'] ?? createDataDirectory();
    directories.push(directory);
    const server = await startProcess({ ...all.env, DATA_DIR: directory, ...env });
    started.push(server);
    return server;
  }
});

describe('an unlinked account', () => {
  const all = useServers(4);

  test(`PRV-06 is deleted, and immediately unknown ${IN_EVERY_PROCESS}`, async () => {
    const { accountId, bearer } = await all.linkPerson();
    expect(codesOf(await renewConcurrently(all, bearer, 40))).toEqual([undefined]);
    await unlink(accountId, bearer);
    expect(codesOf(await renewConcurrently(all, bearer, 40))).toEqual(['NOT_LINKED']);
    expect(await all.row(accountId)).toEqual({});
    for (const table of ['app_user', 'rollup_account', 'sealed_tokens', 'pending_link']) {
      expect(await all.em().execute(`select * from ${table}`)).toEqual([]);
    }
  });

  test('PRV-06 is not restored by a refresh in flight', async () => {
    const { accountId, bearer } = await all.linkExpired();
    const gate = createGate();
    all.rollup.switches.faults.refresh.standing = gate.fault;
    const renewals = renewConcurrently(all, bearer, 8);
    await gate.arrived;
    await unlink(accountId, bearer);
    gate.release();
    expect((await renewals).filter(({ token }) => token !== undefined)).toEqual([]);
    expect(codesOf(await renewConcurrently(all, bearer, 8))).toEqual(['NOT_LINKED']);
    expect(await all.row(accountId)).toEqual({});
    expect(all.rollup.calls.refresh).toBe(1);
  });

  async function unlink(accountId: string, token: string): Promise<void> {
    const { data } = await all.server.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
    expect(data.unlinkRollupAccount.userErrors).toEqual([]);
  }
});

async function readiness({ url }: Server): Promise<number> {
  return (await fetch(`${url}/readyz`)).status;
}

/** Starts clients that send requests one after the other on kept connections, at most 20 000. */
function startLoad({ ask }: Server, token: string, clients: number) {
  const failures: unknown[] = [];
  const end = new AbortController();
  let responses = 0;
  const run = async (): Promise<void> => {
    while (!end.signal.aborted && responses < 20_000) {
      try {
        const { status } = await ask(MeDocument, {}, { token });
        responses += 1;
        if (status !== 200) failures.push(status);
      } catch (error) {
        failures.push((error as Error).cause);
      }
    }
  };
  const running = Array.from({ length: clients }, run);
  return {
    failures,
    responses: () => responses,
    stop: async () => {
      end.abort();
      await Promise.all(running);
    },
  };
}
