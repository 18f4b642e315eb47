import { createGate } from '../../src/dev/instruments/faults.js';
import { leanFetch } from '../../src/fetch.js';
import { ConsentedScopesDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';
import { connectRaw } from '../kit/network.js';
import { startDatabaseProxy } from '../kit/tcp-proxy.js';
import { createTestDatabase } from '../kit/test-database.js';
import { startWorld, type World } from '../kit/world.js';

const KEYS_OLD_MS = 3_600_000; // longer than JWKS_MAX_AGE_SECONDS, shorter than JWKS_STALE_SECONDS
const KEYS_EXPIRED_MS = 90_000_000; // longer than both together
const live = { status: 200, body: '{"status":"ok"}' };
const ready = { status: 200, body: '{"status":"ready"}' };
const notReady = { status: 503, body: '{"status":"not ready"}' };

describe('health', () => {
  const world = useWorld();

  test('HTP-13 a healthy server is live and ready', async () => {
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 concurrent readiness checks share one query to the database', async () => {
    const gate = createGate();
    world.rollup.switches.faults.jwks.standing = gate.fault;
    world.clock.advance(KEYS_EXPIRED_MS);
    world.statements.length = 0;
    const connection = await connectRaw(world.app.url);
    // In one packet, so that all of them have arrived when the first one has.
    const responses = connection.send(Array(100).fill('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n'));
    await gate.arrived;
    gate.release();
    expect((await responses).map(({ status }) => status)).toEqual(Array(100).fill(200));
    expect(world.statements.filter((sql) => sql.includes('transaction_read_only'))).toHaveLength(1);
    connection.close();
  });

  test('HTP-13 a server whose keys are too old is live, not ready, and recovers automatically', async () => {
    const { faults } = world.rollup.switches;
    expect(await bearerStatus(world)).toBe(200);
    for (const script of Object.values(faults)) script.standing = { reset: 'before-headers' };
    world.clock.advance(KEYS_EXPIRED_MS);
    expect(await bearerStatus(world)).toBe(503);
    expect(await health(world)).toEqual({ live, ready: notReady });
    for (const script of Object.values(faults)) script.standing = undefined;
    expect(await health(world)).toEqual({ live, ready });
    expect(await bearerStatus(world)).toBe(200);
  });

  test('HTP-13 a provider that is down does not matter while its keys are cached', async () => {
    const { faults } = world.rollup.switches;
    expect(await bearerStatus(world)).toBe(200);
    for (const script of Object.values(faults)) script.standing = { reset: 'before-headers' };
    world.clock.advance(KEYS_OLD_MS);
    expect(await bearerStatus(world)).toBe(200);
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-13 a server that lacks a migration is live, not ready, and recovers automatically', async () => {
    await withoutMigrations(world, async () =>
      expect(await health(world)).toEqual({ live, ready: notReady }),
    );
    expect(await health(world)).toEqual({ live, ready });
  });

  test('HTP-14 the health responses contain no version, no host and no DSN', async () => {
    const responses = [await ask(world, '/healthz'), await ask(world, '/readyz')];
    await withoutMigrations(world, async () => void responses.push(await ask(world, '/readyz')));
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 503]);
    const revealing = /\d|[/@\\]|localhost|postgres|pglite|memory|node|fastify|rollup|migration/i;
    expect(responses.map(({ body }) => body).filter((body) => revealing.test(body))).toEqual([]);
    for (const { headers } of responses) {
      expect([headers.get('server'), headers.get('x-powered-by')]).toEqual([null, null]);
    }
  });
});

describe('health during failures', () => {
  const cleanups: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanups.splice(0).toReversed()) await cleanUp();
  });

  test('HTP-13 a server without keys is live, not ready, and fetches them without a restart', async () => {
    let down = true;
    const world = await start({ fetch: (...call) => (down ? unreachable() : leanFetch(...call)) });
    expect(await bearerStatus(world)).toBe(503);
    expect(await health(world)).toEqual({ live, ready: notReady });
    expect(world.rollup.calls.jwks).toBe(0);
    down = false;
    expect(await health(world)).toEqual({ live, ready });
    expect(await bearerStatus(world)).toBe(200);
  });

  test('HTP-13 a server without keys fetches them just as soon when its clock is set back meanwhile', async () => {
    let down = true;
    const world = await start({
      env: { JWKS_COOLDOWN_SECONDS: '30' },
      fetch: (...call) => (down ? unreachable() : leanFetch(...call)),
    });
    expect(await bearerStatus(world)).toBe(503);
    down = false;
    world.clock.setBack(3_600_000);
    world.clock.advance(2_000);
    expect(await bearerStatus(world)).toBe(200);
  });

  test('HTP-13 a server whose database is down is live, not ready, and recovers automatically', async () => {
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
    const link = world.link();
    await gate.arrived;
    const closed = world.app.close();
    try {
      for (let times = 0; times < 5; times += 1) {
        expect(await health(world)).toEqual({ live, ready: notReady });
      }
    } finally {
      gate.release();
      expect((await link).userErrors).toEqual([]);
      await closed;
    }
  });

  async function start(options?: Parameters<typeof startWorld>[0]): Promise<World> {
    const world = await startWorld(options);
    cleanups.push(() => world.close());
    return world;
  }
});

async function ask({ app }: World, path: string) {
  const response = await fetch(`${app.url}${path}`);
  return { status: response.status, body: await response.text(), headers: response.headers };
}

async function health(world: World) {
  const responses = await Promise.all([ask(world, '/healthz'), ask(world, '/readyz')]);
  const [live, ready] = responses.map(({ status, body }) => ({ status, body }));
  return { live, ready };
}

async function bearerStatus(world: World): Promise<number> {
  // Of the time that the server takes it to be.
  const iat = Math.floor(world.clock.now() / 1_000);
  const token = await world.rollup.mint('access', world.people[0], { claims: { iat, exp: iat + 3_600 } });
  return (await world.ask(ConsentedScopesDocument, {}, { token })).status;
}

async function unreachable(): Promise<never> {
  throw new TypeError('fetch failed');
}

/** Deletes the rows of applied migrations meanwhile, so that all of them look pending. */
async function withoutMigrations(world: World, look: () => Promise<void>): Promise<void> {
  const applied = await world.em().execute<{ name: string }[]>('delete from migration returning name');
  try {
    await look();
  } finally {
    for (const { name } of applied) {
      await world.em().execute('insert into migration (name) values (?)', [name]);
    }
  }
}

/** Takes the database away and brings it back. */
interface Outage {
  readonly env: Readonly<Record<string, string>>;
  readonly begin: (world: World) => Promise<void>;
  readonly end: (world: World) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Cuts the network of a real server, or closes the connection of the embedded one. */
async function createOutage(): Promise<Outage> {
  const database = await createTestDatabase();
  const { env } = database;
  if (env.DATABASE_URL === undefined) {
    const connectionOf = ({ em }: World) => em().getDriver().getConnection();
    return {
      env,
      begin: (world) => connectionOf(world).getClient().destroy(),
      end: (world) => connectionOf(world).close(),
      close: () => database.close(),
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
      await database.close();
    },
  };
}
