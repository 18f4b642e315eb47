import { createGate } from '../../src/dev/instruments/faults.js';
import { ConsentedScopesDocument } from '../generated/graphql.js';
import { startDatabaseProxy } from '../kit/tcp-proxy.js';
import { createTestDatabase } from '../kit/test-database.js';
import { startWorld, type World } from '../kit/world.js';

const KEYS_OLD_MS = 3_600_000; // longer than JWKS_MAX_AGE_SECONDS, shorter than JWKS_STALE_SECONDS
const KEYS_FORGOTTEN_MS = 90_000_000; // longer than both together
const live = { status: 200, body: '{"status":"ok"}' };
const ready = { status: 200, body: '{"status":"ready"}' };
const notReady = { status: 503, body: '{"status":"not ready"}' };

describe('health', () => {
  let world: World;
  beforeAll(async () => (world = await startWorld()));
  afterAll(() => world.close());
  beforeEach(() => world.reset());

  test('HTP-13 a healthy server is live and ready', async () => {
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 many who ask at the same time whether it is ready are one question to the database', async () => {
    const gate = createGate();
    world.rollup.switches.faults.jwks.standing = gate.fault;
    world.clock.advance(KEYS_FORGOTTEN_MS);
    world.statements.length = 0;
    const answers = Array.from({ length: 100 }, () => ask(world, '/readyz'));
    await gate.arrived;
    for (let times = 0; times < 20; times += 1) await ask(world, '/healthz');
    gate.release();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(world.statements.filter((sql) => sql === 'select 1').length).toBeLessThan(10);
  });

  test('HTP-13 a server whose keys are too old is live, not ready, and recovers by itself', async () => {
    const { faults } = world.rollup.switches;
    expect(await bearerStatus(world)).toBe(200);
    for (const script of Object.values(faults)) script.standing = { reset: 'before-headers' };
    world.clock.advance(KEYS_FORGOTTEN_MS);
    expect(await bearerStatus(world)).toBe(503);
    expect(await health(world)).toEqual({ live, ready: notReady });
    for (const script of Object.values(faults)) script.standing = undefined;
    expect(await health(world)).toEqual({ live, ready });
    expect(await bearerStatus(world)).toBe(200);
  });

  test('HTP-13 a provider that is down is not felt while its keys are known', async () => {
    const { faults } = world.rollup.switches;
    expect(await bearerStatus(world)).toBe(200);
    for (const script of Object.values(faults)) script.standing = { reset: 'before-headers' };
    world.clock.advance(KEYS_OLD_MS);
    expect(await bearerStatus(world)).toBe(200);
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 a server that misses a migration is live, not ready, and recovers by itself', async () => {
    await withoutMigrations(world, async () =>
      expect(await health(world)).toEqual({ live, ready: notReady }),
    );
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-14 what health says holds no version, no host and no DSN', async () => {
    const answers = [await ask(world, '/healthz'), await ask(world, '/readyz')];
    await withoutMigrations(world, async () => void answers.push(await ask(world, '/readyz')));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 503]);
    const telling = /\d|[/@\\]|localhost|postgres|pglite|memory|node|fastify|rollup|migration/i;
    expect(answers.map(({ body }) => body).filter((body) => telling.test(body))).toEqual([]);
    for (const { headers } of answers)
      expect([headers.get('server'), headers.get('x-powered-by')]).toEqual([null, null]);
  });
});

describe('health in trouble', () => {
  const cleanups: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanups.splice(0).toReversed()) await cleanUp();
  });

  test('HTP-13 a server that never had the keys is live, not ready, and gets them without a restart', async () => {
    let down = true;
    const world = await start({ fetch: (...call) => (down ? unreachable() : fetch(...call)) });
    expect(await bearerStatus(world)).toBe(503);
    expect(await health(world)).toEqual({ live, ready: notReady });
    expect(world.rollup.calls.jwks).toBe(0);
    down = false;
    expect(await health(world)).toEqual({ live, ready });
    expect(await bearerStatus(world)).toBe(200);
  });

  test('HTP-13 a server that never had the keys gets them as soon when its clock is set back meanwhile', async () => {
    let down = true;
    const world = await start({
      env: { JWKS_COOLDOWN_SECONDS: '30' },
      fetch: (...call) => (down ? unreachable() : fetch(...call)),
    });
    expect(await bearerStatus(world)).toBe(503);
    down = false;
    world.clock.setBack(3_600_000);
    world.clock.advance(2_000);
    expect(await bearerStatus(world)).toBe(200);
  });

  test('HTP-13 a server whose database is down is live, not ready, and recovers by itself', async () => {
    const outage = await createOutage();
    cleanups.push(outage.close);
    const world = await start({ env: outage.env });
    expect(await health(world)).toEqual({ live, ready });
    await outage.begin(world);
    expect(await health(world)).toEqual({ live, ready: notReady });
    expect(await health(world)).toEqual({ live, ready: notReady });
    await outage.end(world);
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 a draining server is live and not ready while it finishes what is running', async () => {
    const world = await start();
    const gate = createGate();
    world.rollup.switches.faults.exchange.queue.push(gate.fault);
    const begun = await world.start();
    const link = world.finish(begun, await world.rollup.approve(begun.authorizationUrl ?? ''));
    await gate.arrived;
    const closed = world.app.close();
    try {
      for (let asked = 0; asked < 5; asked += 1)
        expect(await health(world)).toEqual({ live, ready: notReady });
    } finally {
      gate.release();
      expect((await link).userErrors).toEqual([]);
      await closed;
    }
  });

  async function start(options?: Parameters<typeof startWorld>[0]): Promise<World> {
    const world = await startWorld(options);
    cleanups.push(world.close);
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

/** The table keeps what was applied; without its rows the server must think that nothing was. */
async function withoutMigrations(world: World, look: () => Promise<void>): Promise<void> {
  const applied = await world.em().execute<{ name: string }[]>('delete from migration returning name');
  try {
    await look();
  } finally {
    for (const { name } of applied)
      await world.em().execute('insert into migration (name) values (?)', [name]);
  }
}

/** A way to lose the database and get it back. */
interface Outage {
  readonly env: Readonly<Record<string, string>>;
  readonly begin: (world: World) => Promise<void>;
  readonly end: (world: World) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** A real server is lost with the network before it; the embedded one with its connection. */
async function createOutage(): Promise<Outage> {
  const { env, drop } = await createTestDatabase();
  if (env.DATABASE_URL === undefined) {
    const connectionOf = ({ em }: World) => em().getDriver().getConnection();
    return {
      env,
      begin: (world) => connectionOf(world).getClient().destroy(),
      end: (world) => connectionOf(world).close(),
      close: drop,
    };
  }
  const { proxy, url } = await startDatabaseProxy(env.DATABASE_URL);
  return {
    env: { DATABASE_URL: url },
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
