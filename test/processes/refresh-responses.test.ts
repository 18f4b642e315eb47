import { rm } from 'node:fs/promises';
import { createServer, type Server as TcpServer } from 'node:net';

import { gzipSync } from 'node:zlib';
import type { Fault } from '../../src/dev/instruments/faults.js';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { useServers, useStarted } from '../kit/hooks.js';
import { foreignKey } from '../kit/forged-token.js';
import { listen } from '../kit/network.js';
import { codesOf, databaseNow, renewConcurrently, retryInMs } from '../kit/renewals.js';
import { startProcess } from '../kit/server.js';
import { startServers } from '../kit/servers.js';
import { createDataDirectory } from '../kit/test-database.js';

const MEGABYTE = 2 ** 20;
const json = { 'content-type': 'application/json' };

describe('unusable responses', () => {
  const all = useServers(2);

  test.each<[string, Fault | ((person: Person) => Promise<unknown>)]>([
    ['HTML', { body: '<html>Welcome</html>', headers: { 'content-type': 'text/html' } }],
    ['an empty body', { body: '', headers: json }],
    ['{}', { body: {} }],
    ['[]', { body: [] }],
    ['null', { body: 'null', headers: json }],
    ['cut JSON', { body: '{"token_type":"Bearer","access_tok', headers: json }],
    ['a number for an access token', async () => 42],
    ['an empty access token', async () => ''],
    [
      'a token for another audience',
      (person) => all.rollup.mint('access', person, { claims: { aud: ['other'] } }),
    ],
    [
      'a token with a bad signature',
      async (person) => all.rollup.mint('access', person, { key: await foreignKey() }),
    ],
    ['an expired token', (person) => all.rollup.mint('access', person, { claims: expiringIn(-120) })],
    ['a refresh token', (person) => all.rollup.mint('refresh', person)],
  ])('RFR-11 %s: nothing is stored, and the refresh backs off', async (_title, bad) => {
    const person = createPerson();
    const { accountId, bearer, sub } = await all.linkExpired(person);
    const before = await all.row(accountId);
    all.rollup.switches.faults.refresh.standing =
      typeof bad === 'function'
        ? { transform: async (response) => ({ ...response, access_token: await bad(person) }) }
        : bad;
    const since = await databaseNow(all);
    expect(codesOf(await renewConcurrently(all, bearer, 20))).toEqual(['PROVIDER_UNAVAILABLE']);
    const after = await all.row(accountId);
    expect(after).toEqual({ ...before, failure_count: 1, retry_at: after['retry_at'] });
    expect(await retryInMs(all, accountId, since)).toBeGreaterThanOrEqual(5_000);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
    all.rollup.switches.faults.refresh.standing = undefined;
    await all.elapse(accountId, 'retry_at');
    expect((await all.renew(all.server, bearer)).token).toBeTruthy();
  });

  test.each([
    [
      'whose iat lies 120 s ahead',
      () => ({ iat: seconds() + 120, exp: seconds() + 3_600 }),
      'PROVIDER_UNAVAILABLE',
      5_000,
    ],
    ['whose exp is past', () => expiringIn(-5), 'PROVIDER_UNAVAILABLE', 5_000],
    ['whose exp is 10 s ahead', () => expiringIn(10), undefined, 10_000],
  ])('RFR-19 a new token %s causes no hot loop', async (_title, claims, code, leastMs) => {
    const person = createPerson();
    const { accountId, bearer, sub } = await all.linkExpired(person);
    all.rollup.switches.faults.refresh.standing = {
      transform: async (response) => ({
        ...response,
        access_token: await all.rollup.mint('access', person, { claims: claims() }),
      }),
    };
    let backOffMs = 0;
    for (const calls of [1, 2]) {
      const since = await databaseNow(all);
      expect(codesOf(await renewConcurrently(all, bearer, 100))).toEqual([code]);
      expect(all.rollup.calls.refreshesOf(sub)).toBe(calls);
      backOffMs += await retryInMs(all, accountId, since);
      await all.elapse(accountId, 'retry_at');
    }
    expect(backOffMs).toBeGreaterThan(Math.max(10_000, 2 * leastMs - 4_000));
  });

  test.each([301, 302, 303, 307, 308])('a redirect with status %d is not followed', async (status) => {
    const trap = await startTrap();
    try {
      const { accountId, bearer } = await all.linkExpired();
      all.rollup.switches.faults.refresh.standing = {
        status,
        redirectTo: `http://127.0.0.1:${trap.port}/token`,
      };
      expect(await all.renew(all.server, bearer)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
      expect(trap.connections()).toBe(0);
      expect(await all.row(accountId)).toMatchObject({ status: 'ACTIVE', generation: 1 });
    } finally {
      trap.server.close();
    }
  });
});

describe('endless responses', () => {
  const DATA_DIR = createDataDirectory();
  const all = useStarted(() => startServers(1));
  const server = useStarted(() => startProcess({ ...all.env, DATA_DIR, ROLLUP_TIMEOUT_MS: '6000' }));
  afterAll(() => rm(DATA_DIR, { recursive: true, force: true }));
  beforeAll(async () => {
    all.rollup.switches.accessTokenLifetimeSeconds = 55; // inside the margin, so every renewal calls the provider
  });

  test.each<[string, RegExp, () => Fault]>([
    ['a body of 200 MB', /larger than/, () => ({ body: Buffer.alloc(200 * MEGABYTE, ' '), headers: json })],
    ['one byte a second', /TimeoutError/, () => ({ dripMs: 1_000 })],
    [
      'a gzip bomb of 256 MB',
      /larger than/,
      () => ({ body: bomb(), headers: { ...json, 'content-encoding': 'gzip' } }),
    ],
    ['100 000 headers', /HPE_HEADER_OVERFLOW|TimeoutError/, () => ({ headers: manyHeaders() })],
  ])(
    'RFR-12 %s is aborted by size or time, and the stored token is returned',
    async (_title, reason, fault) => {
      const { accountId, bearer, token, sub } = await all.linkPerson(undefined, server);
      all.rollup.switches.faults.refresh.standing = fault();
      expect(await all.renew(server, bearer)).toMatchObject({ token });
      expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
      const failed = server
        .output()
        .split('\n')
        .filter((line) => line.includes(accountId) && line.includes('"event":"failed"'));
      expect(failed).toEqual([expect.stringMatching(reason)]);
    },
  );
});

function seconds(): number {
  return Math.floor(Date.now() / 1_000);
}

function expiringIn(inSeconds: number): { iat: number; exp: number } {
  return { iat: seconds() + inSeconds - 3_600, exp: seconds() + inSeconds };
}

/** 256 MB of blanks, compressed to less than a megabyte. */
function bomb(): Buffer {
  return gzipSync(Buffer.alloc(256 * MEGABYTE, ' '), { level: 1 });
}

function manyHeaders(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`x-${index}`, 'y']));
}

/** A listener that must get no connection. */
async function startTrap(): Promise<{ server: TcpServer; port: number; connections: () => number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  return { server, port: await listen(server), connections: () => connections };
}
