import { type Check, ok, runChecks, skipped } from '../../src/cli/doctor/check.js';
import { checkDatabase, judgeVersion } from '../../src/cli/doctor/database-checks.js';
import { checkDatabaseClock, judgeLimits } from '../../src/cli/doctor/database-role.js';
import { clockOf } from '../../src/cli/doctor/observed-fetch.js';
import { checkProvider, judgeClock } from '../../src/cli/doctor/provider-checks.js';
import { loadConfig } from '../../src/config.js';
import { openDatabase } from '../../src/database/orm.js';
import { leanFetch } from '../../src/fetch.js';
import { useRollupId, useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { type Provider, serverEnv } from '../kit/server-env.js';
import { startStandardProvider } from '../kit/standard-provider.js';
import { startDatabaseProxy } from '../kit/tcp-proxy.js';
import { createTestDatabase } from '../kit/test-database.js';

const rollup = useRollupId();

/** What a check of the provider found: status and text. */
async function diagnose(provider: Provider, name: string, env: Readonly<Record<string, string>> = {}) {
  const config = loadConfig({ ...serverEnv(provider, rollup), ...env });
  const results = await checkProvider(config, { fetch: leanFetch, now: Date.now });
  const { status, message, advice } = results.find((result) => result.name === name) ?? {};
  return `${status}: ${message} ${advice}`;
}

describe('checks', () => {
  const check = (name: string, run: Check['run'], needs: readonly string[] = []): Check => {
    return { name, run, needs, deadlineMs: 100_000 };
  };

  test('VLT-45 that throw, or never end, are failures, and the others go on', async () => {
    const boom = Object.assign(new Error('quotes a value'), { code: '42P01', severity: 'ERROR' });
    const results = await runChecks([
      check('broken', () => Promise.reject(boom)),
      { ...check('stuck', () => new Promise(() => undefined)), deadlineMs: 1 },
      check('fine', async () => ok('Fine.')),
    ]);
    expect(results.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'broken failed',
      'stuck failed',
      'fine ok',
    ]);
    expect(results[0]?.message).toBe('Unexpected: 42P01.');
    expect(results[1]?.message).toBe('No result within 1 ms.');
  });

  test('VLT-45 that need one which failed or was skipped are skipped, and say so', async () => {
    const results = await runChecks([
      check('first', () => Promise.reject(new Error('no'))),
      check('second', async () => ok('Fine.'), ['first']),
      check('third', async () => ok('Fine.'), ['second']),
      check('fourth', async () => skipped('Nothing to see.')),
    ]);
    expect(results.map(({ message }) => message)).toEqual([
      'Unexpected: no.',
      'Needs "first", which failed.',
      'Needs "second", which was skipped.',
      'Nothing to see.',
    ]);
  });
});

describe('the clock of the database', () => {
  const opened = useStarted(async (closeToo) => {
    const { settings } = closeToo(await createTestDatabase());
    return openDatabase({ ...settings, poolMax: 2, timeoutMs: 4_000 });
  });

  test.each([
    [-60, 'failed', 'It is 60 s ahead of this machine.'],
    [60, 'failed', 'It is 60 s behind this machine.'],
    [0, 'ok', 'Agrees with this machine.'],
  ])('VLT-46 is compared with ours, which is off by %d s', async (seconds, status, message) => {
    const now = (): number => Date.now() + seconds * 1_000;
    const em = async () => opened.em.fork();
    expect(await checkDatabaseClock({ em, now })).toMatchObject({ status, message });
  });

  test('VLT-46 may be anywhere within the time that the question took', async () => {
    const times = [Date.now() - 60_000, Date.now() + 60_000];
    const now = (): number => times.shift() ?? 0;
    expect(await checkDatabaseClock({ em: async () => opened.em.fork(), now })).toMatchObject({
      status: 'ok',
    });
  });
});

onPostgres('a database that goes silent', () => {
  test('VLT-45 ends no later than its timeouts, and says what happened', async () => {
    const database = await createTestDatabase();
    const { proxy, url } = await startDatabaseProxy(database.settings.url ?? '');
    const settings = { dataDir: '', url, poolMax: 10, timeoutMs: 2_000 };
    // The clock of this machine is first asked for when half of the checks are done.
    const now = (): number => {
      proxy.mode = 'hold';
      return Date.now();
    };
    const results = await checkDatabase({ ...loadConfig({}), database: settings }, { now });
    expect(results.filter(({ status }) => status === 'failed')).toMatchObject([
      { name: 'database clock', message: 'A statement waited too long: Connection terminated unexpectedly.' },
      { name: 'pooler' },
      { name: 'connection limits' },
    ]);
    await proxy.close();
    await database.close();
  });
});

describe('the clock of the provider', () => {
  const at = Date.parse('Thu, 26 Nov 2026 12:00:00 GMT');
  const judge = (seconds: number, tookMs = 0, headers: Record<string, string> = {}) => {
    const date = new Date(at + seconds * 1_000).toUTCString();
    return judgeClock({ headers: new Headers({ date, ...headers }), ours: { from: at, to: at + tookMs } })
      .status;
  };

  test('VLT-46 may differ as much as tokens may, and is worth a warning before', () => {
    expect([0, 5, -6, 6, -8, 30, -31, 31, -32].map((seconds) => judge(seconds))).toEqual([
      'ok',
      'ok',
      'ok',
      'warning',
      'warning',
      'warning',
      'warning',
      'failed',
      'failed',
    ]);
  });

  test('VLT-46 may be anywhere within the time that the response took', () => {
    expect(judge(40)).toBe('failed');
    expect(judge(40, 36_000)).toBe('ok');
  });

  test('VLT-46 is that of the response, not of the cache that had it', () => {
    expect(judge(-3_600, 0, { age: '3600' })).toBe('ok');
    expect(judge(-3_600, 0, { age: 'old' })).toBe('failed');
  });

  test('VLT-46 is unknown without a date', () => {
    expect(clockOf({ headers: new Headers({ date: 'soon' }) })).toBeUndefined();
    expect(judgeClock(undefined).status).toBe('skipped');
  });
});

describe('the version of PostgreSQL', () => {
  test.each([
    [140_013, 'failed'],
    [150_000, 'ok'],
    [180_001, 'ok'],
  ])('VLT-43 of the number %d is judged', (version, status) => {
    expect(judgeVersion({ version, version_name: 'x' }).status).toBe(status);
  });
});

describe('the limits of connections', () => {
  const limits = { max_connections: 100, reserved: 3, superuser: false, role_limit: -1, database_limit: -1 };
  test.each([
    ['the server, without what it reserves', {}, 97, 'the server allows 97'],
    ['the server', { superuser: true }, 100, 'the server allows 100'],
    ['the role', { role_limit: 20 }, 20, 'the role allows 20'],
    ['the database', { role_limit: 20, database_limit: 5 }, 5, 'the database allows 5'],
    [
      'the server for a superuser, whatever the others say',
      { role_limit: 1, superuser: true },
      100,
      'the server',
    ],
  ])('VLT-43 are those of %s', (_title, change, most, text) => {
    const judge = (poolMax: number) => judgeLimits(poolMax, { ...limits, ...change });
    expect(judge(most + 1)).toMatchObject({
      status: 'failed',
      message: expect.stringContaining(text) as string,
    });
    expect(judge(most)).toMatchObject({ status: 'warning' });
    expect(judge(Math.floor(most / 2)).status).toBe('ok');
  });
});

describe('a standard provider', () => {
  const people = [{ sub: 'urn:standard:ada', name: 'Ada', email: 'ada@example.com' }];
  const standard = useStarted(() =>
    startStandardProvider({ people, redirectUris: ['https://app.example/callback'] }),
  );

  test('VLT-42 accepts the credentials and rejects the made-up code', async () => {
    expect(await diagnose(standard, 'client credentials')).toContain('ok: The provider accepts them');
  });

  test('VLT-42 rejects wrong credentials', async () => {
    const wrong = { ...standard, clientSecret: 'a-wrong-secret-of-some-length' };
    expect(await diagnose(wrong, 'client credentials')).toContain('failed: The provider rejects them');
  });

  test('VLT-42 says at once which redirect URI it does not know', async () => {
    expect(await diagnose(standard, 'redirect URI')).toContain('is not refused before sign-in');
    const other = { ...standard, redirectUris: ['https://app.example/other'] };
    expect(await diagnose(other, 'redirect URI')).toContain('https://app.example/other is refused with 400');
  });

  test('VLT-42 sends a refused request back to a redirect URI that it knows', async () => {
    const text = await diagnose(standard, 'redirect URI', { ROLLUP_SCOPES: 'profile' });
    expect(text).toContain(
      'warning: https://app.example/callback is accepted, and the request refused: invalid_request',
    );
  });
});

describe('the client credentials', () => {
  test.each([
    [
      { status: 400, body: { error: 'invalid_request' } },
      'warning: The response to a made-up code does not tell',
    ],
    [{ status: 503 }, 'failed: No usable response of the provider: the provider responded 503'],
    [
      { status: 200, body: { token_type: 'Bearer', access_token: 'x' } },
      'warning: The response to a made-up',
    ],
  ])('VLT-42 are not called good for the response %j', async (fault, text) => {
    rollup.switches.faults.exchange.standing = fault;
    expect(await diagnose(rollup, 'client credentials')).toContain(text);
  });
});
