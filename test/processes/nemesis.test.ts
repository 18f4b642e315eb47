import { UnsecuredJWT } from 'jose';
import { createActor, createOperations, EXPECTED_REJECTIONS } from '../kit/actors.js';
import { eventually } from '../kit/eventually.js';
import { findViolations, History, type Operation } from '../kit/history.js';
import { Nemesis } from '../kit/nemesis.js';
import { startProxiedServers } from '../kit/servers.js';
import { randomKey } from '../kit/server-env.js';
import { useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { Random, RUNS, SEED } from '../kit/random.js';
import { RandomRun } from '../kit/random-run.js';

const OPERATIONS = 1_500 * RUNS;
const LEASE_SECONDS = 2;

onPostgres('a random run', () => {
  const keys = [randomKey('k1'), randomKey('k2')];
  const env = {
    REFRESH_LEASE_SECONDS: String(LEASE_SECONDS),
    ROLLUP_TIMEOUT_MS: '1500',
    REFRESH_BACKOFF_MS: '50',
    DATABASE_TIMEOUT_MS: '1000',
    TOKEN_KEYS: keys.join(','),
  };
  const world = useStarted(() => startProxiedServers(4, env));

  test(
    'RFR-32 with kills, freezes, cuts, rotations of keys and a failing provider: every invariant holds in what callers observed',
    async () => {
      const { proxy } = world;
      const history = new History();
      const operations = createOperations(world, history);
      const actors = await Promise.all(Array.from({ length: 6 }, () => createActor(world)));
      for (const actor of actors) await operations.link(world.server, actor);
      const isDone = (completed: number): boolean => completed >= OPERATIONS;
      const run = new RandomRun({ world, proxy, actors, operations, keys, random: new Random(SEED), isDone });
      await Promise.all([new Nemesis(run).run(), run.work()]);

      const leases = 'select 1 from sealed_tokens where lease_expires_at > clock_timestamp()';
      await eventually(
        async () => expect(await world.em().execute(leases)).toEqual([]),
        (LEASE_SECONDS + 1) * 1_000,
      );
      for (const actor of actors) {
        await eventually(async () => {
          const renewals = await Promise.all(
            run.available.map((server) => world.renew(server, actor.bearer)),
          );
          const seen = renewals.map(({ token, code }) => token ?? code);
          expect({ seed: SEED, seen }).toEqual({ seed: SEED, seen: seen.map(() => seen[0]) });
        });
        await operations.link(world.server, actor);
        for (const server of run.available) await operations.read(server, actor);
      }
      const outages = new Set(['DONE', 'PROVIDER_UNAVAILABLE', 'INTERNAL_SERVER_ERROR', 'CONNECTION_LOST']);
      const codes = [...operations.codes.keys()].filter(
        (code) => !EXPECTED_REJECTIONS.has(code) && !outages.has(code),
      );
      const violations = findViolations(history.operations, run.costs());
      expect({ seed: SEED, codes, violations }).toEqual({ seed: SEED, codes: [], violations: [] });
    },
    120_000 * RUNS,
  );
});

describe('the history checker', () => {
  const sub = 'ada';
  const token = (exp: number, of = sub): string => new UnsecuredJWT({ exp }).setSubject(of).encode();
  const read = (invoked: number, completed: number, token: string): Operation => ({
    kind: 'read',
    sub,
    invoked,
    completed,
    token,
  });
  const rejection = (invoked: number, completed: number): Operation => ({
    kind: 'read',
    sub,
    invoked,
    completed,
    rejected: 'NOT_LINKED',
  });
  const change = (kind: 'link' | 'unlink', invoked: number, completed: number): Operation => ({
    kind,
    sub,
    invoked,
    completed,
    outcome: Number.isFinite(completed) ? 'done' : 'unknown',
  });
  const [link, unlink] = [change('link', 1, 2), change('unlink', 3, 4)];

  test.each([
    ['I3', 'the token of another identity', [read(1, 2, token(100, 'ben'))]],
    ['I4', 'a token older than one before', [read(1, 2, token(100)), read(3, 4, token(99))]],
    ['I5', 'a token after an unlink', [link, unlink, read(5, 6, token(100))]],
    ['I7', 'a lost link', [link, rejection(3, 4)]],
  ])('finds a violation of %s: %s', (name, _title, operations) => {
    expect(findViolations(operations, new Map())).toEqual([expect.stringMatching(`^${name} ada at`)]);
  });

  test('finds a violation of I2: more calls than expiries and faults allow', () => {
    const cost = { calls: 4, expiries: 2, faults: 1 };
    expect(findViolations([], new Map([[sub, cost]]))).toHaveLength(1);
    expect(findViolations([], new Map([[sub, { ...cost, faults: 2 }]]))).toEqual([]);
  });

  test.each([
    ['an older token concurrent with a newer one', [read(1, 3, token(100)), read(2, 4, token(99))]],
    ['an older token of a new link', [read(2, 3, token(100)), change('link', 1, 4), read(5, 6, token(99))]],
    ['a token concurrent with an unlink', [link, change('unlink', 3, 6), read(4, 5, token(100))]],
    ['a token after a new link', [link, unlink, change('link', 5, 6), read(7, 8, token(100))]],
    ['a link with an unknown outcome', [link, unlink, change('link', 3, Infinity), read(5, 6, token(100))]],
    ['a rejection after an unlink', [link, unlink, rejection(5, 6)]],
  ])('accepts %s', (_title, operations) => {
    expect(findViolations(operations, new Map())).toEqual([]);
  });
});
