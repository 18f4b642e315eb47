import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGate } from '../../src/dev/faults.js';
import { ConsentedScopesDocument } from '../generated/graphql.js';
import { startTcpProxy } from '../kit/tcp-proxy.js';
import { createTestDatabase } from '../kit/test-database.js';
import { startWorld, type World, type WorldOptions } from '../kit/world.js';

const KEYS_FORGOTTEN_MS = 90_000_000; // longer than JWKS_MAX_AGE_SECONDS and JWKS_STALE_SECONDS together
const live = { status: 200, body: '{"status":"ok"}' };
const ready = { status: 200, body: '{"status":"ready"}' };
const notReady = { status: 503, body: '{"status":"not ready"}' };

describe('health', () => {
  const running: World[] = [];
  afterEach(async () => {
    for (const world of running.splice(0)) await world.close();
  });

  test('HTP-13 a healthy server is live and ready', async () => {
    const world = await start();
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 a provider that is down is felt by bearers and not by readiness', async () => {
    let down = false;
    const world = await start({ fetch: (...call) => (down ? unreachable() : fetch(...call)) });
    expect(await bearerStatus(world)).toBe(200);
    down = true;
    world.clock.advance(KEYS_FORGOTTEN_MS);
    expect(await bearerStatus(world)).toBe(503);
    expect(await health(world)).toEqual({ live, ready });
    down = false;
    expect(await bearerStatus(world)).toBe(200);
  });

  test('HTP-13 a server that never had the keys is live and ready, and gets them without a restart', async () => {
    let down = true;
    const world = await start({ fetch: (...call) => (down ? unreachable() : fetch(...call)) });
    expect(await bearerStatus(world)).toBe(503);
    expect(await health(world)).toEqual({ live, ready });
    expect(world.rollup.calls.jwks).toBe(0);
    down = false;
    expect(await bearerStatus(world)).toBe(200);
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 a server whose database is down is live, not ready, and recovers by itself', async () => {
    const outage = await createOutage();
    try {
      const world = await start({ env: outage.env });
      expect(await health(world)).toEqual({ live, ready });
      await outage.begin(world);
      expect(await health(world)).toEqual({ live, ready: notReady });
      expect(await health(world)).toEqual({ live, ready: notReady });
      await outage.end(world);
      expect(await health(world)).toEqual({ live, ready });
      await world.close();
      running.length = 0;
    } finally {
      await outage.close();
    }
  });

  test('HTP-13 a server that misses a migration is live, not ready, and recovers by itself', async () => {
    const world = await start();
    const [applied] = await world.em().execute<{ name: string }[]>('delete from migration returning name');
    expect(await health(world)).toEqual({ live, ready: notReady });
    await world.em().execute('insert into migration (name) values (?)', [applied?.name]);
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 a draining server is live and not ready while it finishes what is running', async () => {
    const world = await start();
    const gate = createGate();
    world.rollup.switches.faults.exchange.queue.push(gate.fault);
    const begun = await world.start();
    const callback = await world.rollup.approve(begun.authorizationUrl ?? '');
    const running = world.finish(begun, callback);
    await gate.arrived;
    const closed = world.app.close();
    try {
      for (let asked = 0; asked < 5; asked += 1)
        expect(await health(world)).toEqual({ live, ready: notReady });
    } finally {
      gate.release();
      await closed;
    }
    expect((await running).userErrors).toEqual([]);
  });

  test('HTP-14 what health says holds no version, no host and no DSN', async () => {
    const world = await start();
    const answers = [await ask(world, '/healthz'), await ask(world, '/readyz')];
    await world.em().execute('delete from migration');
    answers.push(await ask(world, '/readyz'));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 503]);
    const telling = /\d|[/@\\]|localhost|postgres|pglite|memory|node|fastify|rollup|migration/i;
    expect(answers.map(({ body }) => body).filter((body) => telling.test(body))).toEqual([]);
    for (const { headers } of answers) {
      expect([headers.get('server'), headers.get('x-powered-by')]).toEqual([null, null]);
      expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    }
  });

  async function start(options?: WorldOptions): Promise<World> {
    const world = await startWorld(options);
    running.push(world);
    return world;
  }
});

async function ask({ app }: World, path: string) {
  const response = await fetch(`${app.url}${path}`);
  return { status: response.status, body: await response.text(), headers: response.headers };
}

async function health(world: World) {
  const answers = await Promise.all([ask(world, '/healthz'), ask(world, '/readyz')]);
  const [live, ready] = answers.map(({ status, body }) => ({ status, body }));
  return { live, ready };
}

async function bearerStatus(world: World): Promise<number> {
  const [person] = world.rollup.people;
  if (!person) throw new Error('the provider has nobody');
  const token = await world.rollup.mint('access', person);
  return (await world.ask(ConsentedScopesDocument, {}, { token })).status;
}

async function unreachable(): Promise<never> {
  throw new TypeError('fetch failed');
}

/** A way to lose the database and get it back. */
interface Outage {
  readonly env: Readonly<Record<string, string>>;
  begin(world: World): Promise<void>;
  end(world: World): Promise<void>;
  close(): Promise<void>;
}

/** A real server is lost with the network before it; the embedded one by ending its connection. */
async function createOutage(): Promise<Outage> {
  const { env, drop } = await createTestDatabase();
  if (env.DATABASE_URL !== undefined) {
    const url = new URL(env.DATABASE_URL);
    const proxy = await startTcpProxy({ targetHost: url.hostname, targetPort: Number(url.port || 5432) });
    url.host = `127.0.0.1:${proxy.port}`;
    return {
      env: { DATABASE_URL: url.href },
      begin: async () => {
        proxy.mode = 'refuse';
        proxy.cut();
      },
      end: async () => void (proxy.mode = 'pass'),
      close: async () => {
        await proxy.close();
        await drop();
      },
    };
  }
  const directory = await mkdtemp(join(tmpdir(), 'rollup-accounts-'));
  return {
    env: { DATA_DIR: directory },
    begin: async ({ em }) => em().getDriver().getConnection().getClient().destroy(),
    end: async ({ em }) => em().getDriver().getConnection().close(),
    close: () => rm(directory, { recursive: true, force: true }),
  };
}
