import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { createGate } from '../../src/dev/instruments/faults.js';
import { LinkRollupAccountDocument } from '../generated/graphql.js';
import { eventually } from '../kit/eventually.js';
import { foreignKey } from '../kit/forged-token.js';
import { useRollupId, useStarted, useWorld } from '../kit/hooks.js';
import { needs, REDIS_PORT } from '../kit/needs.js';
import { startProcess } from '../kit/server.js';
import { startTcpProxy } from '../kit/tcp-proxy.js';
import { createDataDirectory, createTestDatabase } from '../kit/test-database.js';
import { startWorld, type World } from '../kit/world.js';
import { randomKey } from '../kit/server-env.js';

const SUBJECT_LIMIT = 6;
const ADDRESS_LIMIT = 9;
const CAPACITY = 20;
const FORGED = 2_000;
const KEYS_EXPIRED_MS = 90_000_000; // longer than JWKS_MAX_AGE_SECONDS and JWKS_STALE_SECONDS together
const SCOPES_QUERY = '{ consentedScopes { name } }';
/** Counted as a mutation, rejected before it reaches the database. */
const BEGIN = 'startRollupLink(input: { redirectUri: "x", scopes: [] }) { userErrors { code } }';
const MUTATION = `mutation { ${BEGIN} }`;

describe('rate limits', () => {
  const worlds: World[] = [];
  const cleanups: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const world of worlds) await world.close();
    for (const cleanUp of cleanups) await cleanUp();
  });

  async function start(env: Readonly<Record<string, string>>): Promise<World> {
    const limits = { RATE_LIMIT_SUBJECT: String(SUBJECT_LIMIT), RATE_LIMIT_ADDRESS: String(ADDRESS_LIMIT) };
    const world = await startWorld({ env: { ...limits, ...env } });
    worlds.push(world);
    return world;
  }
  /** An address in a network that no other test uses, in this run or another. */
  const someAddress = () => `2001:db8:${randomBytes(2).toString('hex')}:${randomBytes(2).toString('hex')}::1`;
  const tokenOf = (world: World, person: Person = createPerson()) => world.rollup.mint('access', person);
  async function mutate(world: World, address: string, token?: string, document = MUTATION): Promise<number> {
    const { status, headers, errors } = await world.ask(
      document,
      {},
      { token, headers: { 'x-forwarded-for': address } },
    );
    // A rejection without `Retry-After` does not count as one.
    const complete =
      errors[0]?.extensions['code'] === 'RATE_LIMITED' && Number(headers.get('retry-after')) > 0;
    return status === 429 && !complete ? 0 : status;
  }
  async function repeat(times: number, act: (index: number) => Promise<number>): Promise<number[]> {
    const statuses: number[] = [];
    for (let index = 0; index < times; index += 1) statuses.push(await act(index));
    return statuses;
  }
  /** The statuses when the first `limit` requests are accepted and all others rejected. */
  const accepted = (limit: number, of: number) =>
    Array.from({ length: of }, (_, index) => (index < limit ? 200 : 429));

  describe('behind a trusted proxy', () => {
    let world: World;
    beforeAll(async () => (world = await start({ TRUST_PROXY: '127.0.0.1' })));

    test('HTP-17 a subject has its limit from every address, and another subject has its own', async () => {
      const token = await tokenOf(world);
      const statuses = await repeat(SUBJECT_LIMIT + 3, () => mutate(world, someAddress(), token));
      expect(statuses).toEqual(accepted(SUBJECT_LIMIT, SUBJECT_LIMIT + 3));
      expect(await mutate(world, someAddress(), await tokenOf(world))).toBe(200);
      expect((await world.ask(SCOPES_QUERY, {}, { token })).status).toBe(200);
    });

    test('HTP-17 an address has its limit for every caller, and another address has its own', async () => {
      const address = someAddress();
      const statuses = await repeat(ADDRESS_LIMIT + 3, async (index) =>
        mutate(world, address, index % 2 ? await tokenOf(world) : undefined),
      );
      expect(statuses).toEqual(accepted(ADDRESS_LIMIT, ADDRESS_LIMIT + 3));
      expect(await mutate(world, someAddress())).toBe(200);
    });

    test('HTP-17 all addresses of an IPv6 /64 network share a limit, as do both notations of an IPv4 address', async () => {
      const network = someAddress().replace('::1', '');
      const hosts = await repeat(ADDRESS_LIMIT + 2, (index) => mutate(world, `${network}:0:0:${index}:ffff`));
      expect(hosts).toEqual(accepted(ADDRESS_LIMIT, ADDRESS_LIMIT + 2));
      const address = `10.${randomBytes(3).join('.')}`;
      const spellings = await repeat(ADDRESS_LIMIT + 2, (index) =>
        mutate(world, index % 2 ? `::ffff:${address}` : address),
      );
      expect(spellings).toEqual(accepted(ADDRESS_LIMIT, ADDRESS_LIMIT + 2));
    });

    test('HTP-17 addresses that a client prepends to its own are not trusted', async () => {
      const address = someAddress();
      const statuses = await repeat(ADDRESS_LIMIT + 1, () => mutate(world, `${someAddress()}, ${address}`));
      expect(statuses).toEqual(accepted(ADDRESS_LIMIT, ADDRESS_LIMIT + 1));
    });

    test('HTP-17 aliased mutations count one by one', async () => {
      const document = (count: number) =>
        `mutation { ${Array.from({ length: count }, (_, index) => `a${index}: ${BEGIN}`).join(' ')} }`;
      expect(await mutate(world, someAddress(), undefined, document(ADDRESS_LIMIT))).toBe(200);
      expect(await mutate(world, someAddress(), undefined, document(ADDRESS_LIMIT + 1))).toBe(429);
    });
  });

  test('HTP-17 without a trusted proxy a spoofed address helps neither with limits nor with /metrics', async () => {
    const world = await start({ METRICS_FROM: '10.0.0.1' });
    const statuses = await repeat(ADDRESS_LIMIT + 1, () => mutate(world, someAddress()));
    expect(statuses).toEqual(accepted(ADDRESS_LIMIT, ADDRESS_LIMIT + 1));
    const headers = { 'x-forwarded-for': '10.0.0.1', 'x-real-ip': '10.0.0.1', forwarded: 'for=10.0.0.1' };
    expect((await fetch(`${world.app.url}/metrics`, { headers })).status).toBe(404);
  });

  test('HTP-17 while Redis is unreachable a server counts in memory and logs a warning', async () => {
    const world = await start({ TRUST_PROXY: '127.0.0.1', REDIS_URL: 'redis://127.0.0.1:1' });
    const address = someAddress();
    const statuses = await repeat(ADDRESS_LIMIT + 1, () => mutate(world, address));
    expect(statuses).toEqual(accepted(ADDRESS_LIMIT, ADDRESS_LIMIT + 1));
    expect(world.logLines.join('')).toContain('Redis is unreachable');
  });

  test('HTP-17 a Redis that stops responding is disconnected after a while, and limits are counted in memory meanwhile', async () => {
    const responses = new Map([
      ['hello', '%0\r\n'],
      ['client', '+OK\r\n'],
      ['info', '$9\r\nloading:0\r\n'],
    ]);
    let unanswered = 0;
    const left = Promise.withResolvers<void>();
    const redis = createServer((socket) => {
      socket.on('error', () => undefined).on('close', () => unanswered > 0 && left.resolve());
      socket.on('data', (request) => {
        for (const [name] of String(request).matchAll(/(?<=\*\d+\r\n\$\d+\r\n)\w+/g)) {
          const response = responses.get(name.toLowerCase());
          if (response === undefined) unanswered += 1;
          else socket.write(response);
        }
      });
    });
    redis.listen(0, '127.0.0.1');
    await once(redis, 'listening');
    cleanups.push(async () => void redis.close());
    const { port } = redis.address() as AddressInfo;
    const world = await start({ TRUST_PROXY: '127.0.0.1', REDIS_URL: `redis://127.0.0.1:${port}` });
    await eventually(async () => {
      expect(await mutate(world, someAddress())).toBe(200);
      expect(unanswered).toBeGreaterThan(0);
    });
    await left.promise;
  });

  needs('redis')('with a Redis', () => {
    test('HTP-17 two servers with one Redis share the limits, and count separately when it is unreachable', async () => {
      const proxy = await startTcpProxy({ targetHost: '127.0.0.1', targetPort: REDIS_PORT });
      cleanups.push(() => proxy.close());
      const env = { TRUST_PROXY: '127.0.0.1', REDIS_URL: `redis://127.0.0.1:${proxy.port}` };
      const pair = [await start(env), await start(env)] as const;
      const person = createPerson();
      const tokens = [await tokenOf(pair[0], person), await tokenOf(pair[1], person)];
      for (const [limit, signedIn] of [
        [SUBJECT_LIMIT, true],
        [ADDRESS_LIMIT, false],
      ] as const) {
        const address = someAddress();
        const statuses = await repeat(limit + 3, (index) =>
          mutate(
            pair[index % 2 ? 1 : 0],
            signedIn ? someAddress() : address,
            signedIn ? tokens[index % 2] : undefined,
          ),
        );
        expect(statuses).toEqual(accepted(limit, limit + 3));
      }
      proxy.mode = 'refuse';
      proxy.cut();
      for (const world of pair) {
        const address = someAddress();
        const statuses = await repeat(ADDRESS_LIMIT + 1, () => mutate(world, address));
        expect(statuses).toEqual(accepted(ADDRESS_LIMIT, ADDRESS_LIMIT + 1));
      }
    });
  });
});

describe('load', () => {
  const world = useWorld({ env: { MAX_CONCURRENT_REQUESTS: String(CAPACITY) } });
  let person: Person;
  beforeAll(() => void ([person] = world.people));

  test(`HTP-20 ${FORGED} forged tokens are rejected, and all good ones among them are accepted`, async () => {
    const key = await foreignKey();
    const token = await world.rollup.mint('access', person);
    const statuses = { forged: new Set<number>(), good: new Set<number>() };
    const left = { count: FORGED };
    const attack = async () => {
      for (; left.count > 0; left.count -= 1) {
        const bad = await world.rollup.mint('access', person, { key });
        statuses.forged.add((await world.ask(SCOPES_QUERY, {}, { token: bad })).status);
      }
    };
    const askMeanwhile = async () => {
      while (left.count > 0) statuses.good.add((await world.ask(SCOPES_QUERY, {}, { token })).status);
    };
    await Promise.all([askMeanwhile(), ...Array.from({ length: CAPACITY - 5 }, attack)]);
    expect(statuses).toEqual({ forged: new Set([401]), good: new Set([200]) });
    expect(world.rollup.calls.jwks).toBeLessThan(5);
  });

  test('HTP-22 beyond its capacity the server responds with 503 at once, and finishes running requests', async () => {
    const attempts = await approve(CAPACITY);
    const { full, release } = holdExchanges();
    const links = attempts.map(({ begun, url }) => world.finish(begun, url));
    await full;
    const excess = await Promise.all(Array.from({ length: 9 * CAPACITY }, () => world.ask('{ me { id } }')));
    for (const { status, headers, errors } of excess) {
      expect([status, Number(headers.get('retry-after'))]).toEqual([503, expect.any(Number)]);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
    }
    for (const probe of ['healthz', 'readyz']) {
      expect((await fetch(`${world.app.url}/${probe}`)).status).toBe(200);
    }
    // Before the bearer is verified.
    expect((await world.ask('{ me { id } }', undefined, { token: 'e.e.e' })).status).toBe(503);
    release();
    expect((await Promise.all(links)).flatMap(({ userErrors }) => userErrors)).toEqual([]);
    const after = await Promise.all(Array.from({ length: CAPACITY }, () => world.ask('{ me { id } }')));
    expect(after.map(({ status }) => status)).toEqual(after.map(() => 200));
  });

  test('HTP-22 clients that disconnect while their bearer is verified free their capacity', async () => {
    world.clock.advance(KEYS_EXPIRED_MS);
    const token = await world.rollup.mint('access', person);
    const gate = createGate();
    world.rollup.switches.faults.jwks.standing = gate.fault;
    const disconnect = new AbortController();
    const headers = { authorization: `Bearer ${token}`, 'apollo-require-preflight': '1' };
    const url = `${world.app.url}/graphql?query=${encodeURIComponent(SCOPES_QUERY)}`;
    const requests = Array.from({ length: CAPACITY }, () =>
      fetch(url, { headers, signal: disconnect.signal }),
    );
    await gate.arrived;
    await roundTrips();
    disconnect.abort();
    await Promise.allSettled(requests);
    await roundTrips();
    gate.release();
    expect((await world.ask(SCOPES_QUERY, {}, { token })).status).toBe(200);
    expect((await world.ask('{ me { id } }')).status).toBe(200);
  });

  test('HTP-22 slow clients use no capacity: a request counts once it is complete', async () => {
    const head =
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{';
    const slow = Array.from({ length: 3 * CAPACITY }, () => {
      const socket = connect(Number(new URL(world.app.url).port), '127.0.0.1').on('error', () => undefined);
      socket.write(head);
      return socket;
    });
    await Promise.all(slow.map((socket) => once(socket, 'connect')));
    const others = await Promise.all(Array.from({ length: CAPACITY / 2 }, () => world.ask('{ me { id } }')));
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 200));
    expect((await fetch(`${world.app.url}/readyz`)).status).toBe(200);
    for (const socket of slow) socket.destroy();
  });

  test('HTP-22 requests that began below capacity are rejected when there is none left once they are complete', async () => {
    const before = world.rollup.calls.exchange;
    const agent = new Agent();
    const begun = [...(await approve(CAPACITY)), ...(await approve(CAPACITY))].map(({ input }) => {
      const body = JSON.stringify({ query: String(LinkRollupAccountDocument), variables: { input } });
      const headers = {
        'content-type': 'application/json',
        'content-length': body.length,
        expect: '100-continue',
      };
      const sent = request(`${world.app.url}/graphql`, { method: 'POST', agent, headers });
      sent.flushHeaders();
      return { sent, body };
    });
    // By then the server has received the headers.
    await Promise.all(begun.map(({ sent }) => once(sent, 'continue')));
    const statuses = begun.map(async ({ sent }) => {
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    });
    const { full, release } = holdExchanges();
    for (const { sent, body } of begun) sent.end(body);
    await full;
    await Promise.race(statuses);
    release();
    const seen = await Promise.all(statuses);
    expect(seen.filter((status) => status === 503)).toHaveLength(CAPACITY);
    expect(world.rollup.calls.exchange - before).toBe(CAPACITY);
    agent.destroy();
  });

  /** Afterwards the server has received everything sent before. */
  async function roundTrips(): Promise<void> {
    for (let times = 0; times < CAPACITY; times += 1) await fetch(`${world.app.url}/healthz`);
  }

  /** Started links with an approval each: completing one calls the provider. */
  const approve = (count: number) =>
    Promise.all(Array.from({ length: count }, () => world.approve(person, { scopes: ['openid'] })));

  /** Blocks completions at the provider; `full` resolves when the server is at capacity. */
  function holdExchanges(): { full: Promise<void>; release: () => void } {
    const gate = createGate();
    const full = Promise.withResolvers<void>();
    let arrived = 0;
    world.rollup.switches.faults.exchange.standing = {
      ...gate.fault,
      onArrival: () => {
        arrived += 1;
        if (arrived === CAPACITY) full.resolve();
      },
    };
    return { full: full.promise, release: () => gate.release() };
  }
});

describe('a server in a process of its own', () => {
  const cleanups: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const cleanUp of cleanups) await cleanUp();
  });
  const tokenKeys = randomKey('k1');
  const rollup = useRollupId();
  const database = useStarted(() => createTestDatabase());

  async function serve(env: Readonly<Record<string, string>> = {}) {
    const directory = createDataDirectory();
    cleanups.push(() => rm(directory, { recursive: true }));
    const server = await startProcess({
      PORT: '0',
      LOG_LEVEL: 'info',
      SHUTDOWN_DELAY_MS: '0',
      ROLLUP_ISSUER: rollup.url,
      ROLLUP_CLIENT_ID: rollup.clientId,
      ROLLUP_CLIENT_SECRET: rollup.clientSecret,
      ROLLUP_REDIRECT_URIS: 'https://app.example/callback',
      TOKEN_KEYS: tokenKeys,
      ...database.env,
      DATA_DIR: directory,
      ...env,
    });
    cleanups.unshift(server.close);
    return server;
  }

  test.each([
    ['an error thrown in a timer', 'setTimeout(() => { throw new Error("boom") })'],
    ['an unhandled rejection', 'void Promise.reject(new Error("boom"))'],
    [
      'an error of a stream without listeners',
      'new (require("node:stream").Readable)().destroy(new Error("boom"))',
    ],
  ])(
    'HTP-19 %s is logged as fatal, without any setting, and ends the process with 1',
    async (_what, code) => {
      const script = `import { createRequire } from 'node:module'; const require = createRequire('/');
      process.once('SIGUSR2', () => { ${code} });`;
      const { run } = await serve({
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}`,
      });
      run.process.kill('SIGUSR2');
      expect(await run.exited).toBe(1);
      const fatal = run
        .output()
        .split('\n')
        .filter((line) => line.includes('"level":"fatal"'));
      expect(fatal.map((line) => JSON.parse(line) as unknown)).toMatchObject([
        { time: expect.any(String), msg: 'fatal', err: { type: 'Error', message: 'boom' } },
      ]);
      for (const secret of [tokenKeys, rollup.clientSecret, 'ROLLUP_CLIENT_SECRET', 'TOKEN_KEYS']) {
        expect(run.output()).not.toContain(secret);
      }
    },
  );

  test('HTP-21 after thousands of mixed requests open files, connections and metrics are as before', async () => {
    const { ask, run, url } = await serve();
    const pid = String(run.process.pid);
    const post = (body: string, path = '/graphql') => fetch(url + path, { method: 'POST', body });
    const token = await rollup.mint('access', createPerson());
    const mix: readonly (() => Promise<unknown>)[] = [
      () => ask('{ me { id } }'),
      () => ask(SCOPES_QUERY, {}, { token }),
      () => ask('{ me { id } }', {}, { token }),
      () => ask(SCOPES_QUERY, {}, { token: `${token}x` }),
      () => ask(`{ unknown${randomBytes(4).toString('hex')} }`),
      () => ask(MUTATION.replace('startRollupLink', randomBytes(4).toString('hex'))),
      async () => (await post('{')).text(),
      async () => (await post('{}', `/nowhere/${randomBytes(8).toString('hex')}`)).text(),
      async () => (await fetch(`${url}/healthz`)).text(),
      async () => (await fetch(`${url}/metrics`)).text(),
    ];
    async function soak(requests: number): Promise<{ files: number; series: number }> {
      let left = requests;
      const client = async () => {
        for (; left > 0; left -= 1) await mix[left % mix.length]?.();
      };
      await Promise.all(Array.from({ length: 20 }, client));
      const metrics = await (await fetch(`${url}/metrics`)).text();
      const files = existsSync(`/proc/${pid}/fd`) ? readdirSync(`/proc/${pid}/fd`).length : 0;
      return { files, series: metrics.match(/^rollup_accounts_(?!\w*_bucket).* \d/gm)?.length ?? 0 };
    }
    const before = await soak(2_000);
    const after = await soak(4_000);
    expect(after.files).toBeLessThanOrEqual(before.files + 10);
    expect(before.series).toBeGreaterThan(0);
    expect(after.series).toBeLessThanOrEqual(before.series + 10);
  });
});
