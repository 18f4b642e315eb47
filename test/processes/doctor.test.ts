import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../src/database/orm.js';
import { type Diagnosis, type JsonDiagnosis, runDoctor } from '../kit/doctor.js';
import { useDirectory, useRollupId, useStarted } from '../kit/hooks.js';
import { needs, onPostgres } from '../kit/needs.js';
import { findFreePort } from '../kit/network.js';
import { startPgBouncer } from '../kit/pgbouncer.js';
import { endOf, startOnTerminal } from '../kit/runbook.js';
import { startProcess } from '../kit/server.js';
import { PRODUCTION, randomKey, serverEnv } from '../kit/server-env.js';
import { createTestDatabase } from '../kit/test-database.js';
import { openServerDatabases } from '../kit/server-databases.js';

const rollup = useRollupId();
const database = useStarted(() => createTestDatabase());

const K1 = randomKey('k1');
/** However busy the machine is. */
const PATIENT = { ROLLUP_TIMEOUT_MS: '30000', REFRESH_LEASE_SECONDS: '60' };

/** Settings with which everything is fine. */
const goodEnv = () => ({ ...serverEnv(rollup, rollup), TOKEN_KEYS: K1, ...PATIENT, ...database.env });

async function expectFailure(diagnosis: Diagnosis, name: string, text: string): Promise<void> {
  expect(diagnosis.failures).toEqual([expect.stringMatching(new RegExp(`^FAILED  ${name}  `))]);
  expect(diagnosis.line(name)).toContain(text);
  expect(diagnosis.exitCode).toBe(1);
  expect(diagnosis.output).toMatch(/^rollup-accounts: 1 of \d+ checks failed\.$/m);
}

describe('rollup-accounts doctor', () => {
  test('VLT-40 finds nothing wrong where nothing is, exits with 0, and leaves it as it was', async () => {
    const { exitCode, text, output, line } = await runDoctor(goodEnv());
    expect(text).not.toMatch(/^(FAILED|warning|skipped)/m);
    expect(exitCode).toBe(0);
    expect(output).toBe(text);
    expect(line('database encoding')).toBe('ok  database encoding  UTF8.');
    expect(line('provider discovery')).toContain(rollup.url);
    expect(line('client credentials')).toContain('made-up code');
    expect(line('redirect URI')).toBe(
      `ok  redirect URI  ${rollup.redirectUris[0]} is not refused before sign-in.`,
    );
    // One call each: nobody's token was used, and Galaxy has a budget.
    const { exchange, refresh, userinfo, galaxy, authorize } = rollup.calls;
    expect({ exchange, refresh, userinfo, galaxy, authorize }).toEqual({
      exchange: 1,
      refresh: 0,
      userinfo: 0,
      galaxy: 1,
      authorize: 1,
    });
  });

  test('VLT-40 prints one JSON document with --json', async () => {
    const { exitCode, text } = await runDoctor({ ...goodEnv(), GALAXY_API_KEY: 'wrong' }, '--json');
    const { ok, checks } = JSON.parse(text) as JsonDiagnosis;
    expect(ok).toBe(false);
    expect(exitCode).toBe(1);
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([
      {
        name: 'Galaxy key',
        status: 'failed',
        message: expect.any(String) as string,
        advice: expect.stringContaining('GALAXY_API_KEY') as string,
      },
    ]);
  });

  test('VLT-41 names every problem of the settings, without a value, and asks nobody', async () => {
    const diagnosis = await runDoctor({ ...PRODUCTION, PORT: 'xyzzy', ROLLUP_ISSUER: `${rollup.url}/` });
    expect(diagnosis.failures).toEqual([
      expect.stringContaining('PORT must be'),
      expect.stringContaining('ROLLUP_ISSUER must be an origin'),
    ]);
    expect(diagnosis.output).not.toContain('xyzzy');
    expect(diagnosis.line('database')).toBe('skipped  database  Needs "settings", which failed.');
    expect(diagnosis.exitCode).toBe(1);
    expect(rollup.calls.discovery).toBe(0);
  });

  test('VLT-41 takes production at its word', async () => {
    const ROLLUP_ISSUER = `https://127.0.0.1:${await findFreePort()}`;
    const { line, exitCode } = await runDoctor({
      ...PRODUCTION,
      ROLLUP_ISSUER,
      GALAXY_URL: `${ROLLUP_ISSUER}/graphql`,
    });
    expect(line('settings')).toBe('ok  settings  Complete, for production.');
    expect(line('provider discovery')).toContain('ECONNREFUSED');
    expect(line('Galaxy key')).toContain('ECONNREFUSED. Check GALAXY_URL');
    expect(exitCode).toBe(1);
  });

  test('VLT-44 prints no configured secret', async () => {
    const secrets = {
      ROLLUP_CLIENT_SECRET: 'the-secret-of-the-client',
      GALAXY_API_KEY: 'the-key-of-galaxy',
      TOKEN_KEYS: randomKey('k1'),
    };
    const url = 'postgresql://user:the-password-of-the-database@127.0.0.1:1/none';
    // A redirect URI is printed: with it a secret would be.
    const leak = `https://app.example/${secrets.ROLLUP_CLIENT_SECRET}/${secrets.GALAXY_API_KEY}/the-password-of-the-database`;
    const env = { ...goodEnv(), ...secrets, DATABASE_URL: url, ROLLUP_REDIRECT_URIS: leak };
    for (const { output } of [await runDoctor(env), await runDoctor(env, '--json')]) {
      expect(output).toContain('https://app.example/[redacted]/[redacted]/[redacted]');
      for (const secret of [...Object.values(secrets), secrets.TOKEN_KEYS.slice(3), 'the-password']) {
        expect(output).not.toContain(secret);
      }
    }
  });
});

describe('rollup-accounts doctor finds that', () => {
  const directory = useDirectory();
  /** Whatever database there is: it costs a second to open. */
  const withoutDatabase = () => {
    const { DATABASE_URL: _url, ...env } = goodEnv();
    return { ...env, DATA_DIR: join(directory, 'none') };
  };

  test('VLT-42 the provider is down', async () => {
    const ROLLUP_ISSUER = `http://127.0.0.1:${await findFreePort()}`;
    const diagnosis = await runDoctor({ ...withoutDatabase(), ROLLUP_ISSUER });
    await expectFailure(diagnosis, 'provider discovery', 'ECONNREFUSED. Check ROLLUP_ISSUER');
    for (const name of ['signing keys', 'client credentials', 'provider clock', 'redirect URI']) {
      expect(diagnosis.line(name)).toBe(`skipped  ${name}  Needs "provider discovery", which failed.`);
    }
    expect(diagnosis.line('Galaxy key')).toContain('ok');
  });

  test('VLT-42 the issuer is another one', async () => {
    rollup.switches.faults.discovery.standing = {
      transform: (body) => ({ ...body, issuer: 'https://x.example' }),
    };
    const diagnosis = await runDoctor(withoutDatabase());
    await expectFailure(diagnosis, 'provider discovery', 'another issuer than ROLLUP_ISSUER');
  });

  test.each([
    ['discovery', 'provider discovery', 'discovery: no issuer. Check ROLLUP_ISSUER, and that this machine'],
    ['jwks', 'signing keys', 'no usable keys for ES256'],
  ] as const)('VLT-80 the provider responds with a message instead of its %s', async (point, name, text) => {
    rollup.switches.faults[point].standing = { body: { message: 'maintenance' } };
    await expectFailure(await runDoctor(withoutDatabase()), name, text);
  });

  test('VLT-42 the provider has no usable key', async () => {
    rollup.switches.faults.jwks.standing = { body: { keys: [] } };
    await expectFailure(await runDoctor(withoutDatabase()), 'signing keys', 'no usable keys for ES256');
  });

  test.each([500, 401] as const)(
    'VLT-42 the client secret is wrong, where an unknown code is %d',
    async (status) => {
      rollup.switches.expiredCodeStatus = status;
      const diagnosis = await runDoctor({ ...withoutDatabase(), ROLLUP_CLIENT_SECRET: 'a-wrong-secret' });
      await expectFailure(diagnosis, 'client credentials', 'Set ROLLUP_CLIENT_ID and ROLLUP_CLIENT_SECRET');
      expect((await runDoctor(withoutDatabase())).line('client credentials')).toContain('ok');
    },
  );

  test.each([90, -90])('VLT-42 the clock of the provider is %d s off', async (seconds) => {
    const date = new Date(Date.now() + seconds * 1_000).toUTCString();
    rollup.switches.faults.discovery.standing = { headers: { date } };
    const text = seconds > 0 ? 's ahead of this machine' : 's behind this machine';
    await expectFailure(await runDoctor(withoutDatabase()), 'provider clock', text);
  });

  test('VLT-42 a redirect URI is refused, and another is not', async () => {
    const good = rollup.redirectUris[0] ?? '';
    const env = { ...withoutDatabase(), ROLLUP_REDIRECT_URIS: `${good},https://other.example/callback` };
    const diagnosis = await runDoctor(env);
    await expectFailure(diagnosis, 'redirect URI', `${good} is not refused before sign-in`);
    expect(diagnosis.failures[0]).toContain('https://other.example/callback is refused with 400');
    expect(diagnosis.failures[0]).toContain('Register it at Rollup ID');
  });

  test.each(['masked', 'plain'] as const)(
    'VLT-42 the key of Galaxy is wrong, with %s errors',
    async (errors) => {
      rollup.switches.galaxyErrors = errors;
      const diagnosis = await runDoctor({ ...withoutDatabase(), GALAXY_API_KEY: 'a-wrong-key' });
      await expectFailure(diagnosis, 'Galaxy key', 'Galaxy rejects it');
    },
  );

  test('VLT-42 Galaxy is down', async () => {
    rollup.switches.faults.galaxy.standing = { status: 503 };
    await expectFailure(await runDoctor(withoutDatabase()), 'Galaxy key', 'Check GALAXY_URL');
  });
});

needs('script')('rollup-accounts doctor, on a terminal', () => {
  const ESCAPE = '\u001b[';
  const directory = useDirectory();
  const onTerminal = async (env: Readonly<Record<string, string>>): Promise<string> => {
    const { output } = await endOf(startOnTerminal('npx rollup-accounts doctor', env));
    return output;
  };

  test('VLT-40 marks in colours, unless NO_COLOR is set', async () => {
    const env = { ...goodEnv(), DATABASE_URL: '', DATA_DIR: join(directory, 'none') };
    expect(await onTerminal(env)).toContain(`${ESCAPE}32mok`);
    expect(await onTerminal({ ...env, NO_COLOR: '1' })).not.toContain(ESCAPE);
  });
});

needs('embedded')('rollup-accounts doctor, with an embedded database', () => {
  const directory = useDirectory();

  test('VLT-40 that does not exist yet, says so and makes none', async () => {
    const DATA_DIR = join(directory, 'new');
    const { exitCode, line } = await runDoctor({ DATA_DIR });
    expect(line('database')).toContain('There is no embedded database yet');
    expect(line('provider')).toContain('Embedded');
    expect(line('Galaxy key')).toContain('Embedded');
    expect(exitCode).toBe(0);
    expect(existsSync(DATA_DIR)).toBe(false);
  });

  test('VLT-40 that a server uses, says so and goes on with the rest', async () => {
    const server = await startProcess({ ...goodEnv(), SHUTDOWN_DELAY_MS: '0' });
    try {
      const { exitCode, line } = await runDoctor(goodEnv());
      expect(line('database')).toContain('skipped  database  Another process uses DATA_DIR');
      expect(line('client credentials')).toContain('ok');
      expect(exitCode).toBe(0);
    } finally {
      await server.stop();
    }
  });
});

onPostgres('rollup-accounts doctor finds that the database', () => {
  const server = useStarted(() => openServerDatabases());
  const doctor = (url: string, extra: Readonly<Record<string, string>> = {}): Promise<Diagnosis> =>
    runDoctor({ ...goodEnv(), DATABASE_URL: url, ...extra });

  test('VLT-43 is down', async () => {
    const diagnosis = await doctor('postgresql://postgres@127.0.0.1:1/none');
    await expectFailure(diagnosis, 'database', 'ECONNREFUSED');
    expect(diagnosis.line('migrations')).toBe('skipped  migrations  Needs "database", which failed.');
  });

  test('VLT-43 does not exist, and makes none', async () => {
    const url = server.missing();
    await expectFailure(await doctor(url), 'database', 'The database does not exist: 3D000');
    await expectFailure(await doctor(url), 'database', 'The database does not exist: 3D000');
  });

  test('VLT-43 rejects the role', async () => {
    const url = new URL(database.env.DATABASE_URL ?? '');
    url.username = 'rollup_accounts_nobody';
    await expectFailure(await doctor(url.href), 'database', 'rejects the user or the password: 28');
  });

  test.each(['SQL_ASCII', 'LATIN1'])('VLT-43 has the encoding %s', async (encoding) => {
    const url = await server.createDatabase(`encoding '${encoding}' locale 'C' template template0`);
    await expectFailure(await doctor(url), 'database encoding', `${encoding}: it cannot hold every name`);
  });

  test('VLT-43 is read-only', async () => {
    const url = await server.createMigrated();
    const name = new URL(url).pathname.slice(1);
    await server.runIn(server.url, `alter database ${name} set default_transaction_read_only = on`);
    await expectFailure(await doctor(url), 'database writes', 'Transactions are read-only');
  });

  test('VLT-43 gives the role too few rights, in every degree', async () => {
    const owners = await server.createMigrated();
    const url = new URL(owners);
    const role = await server.createRole();
    url.username = role;
    const reader = await doctor(url.href);
    expect(reader.line('database rights')).toContain(
      `"${role}" lacks select, insert, update, delete on app_user`,
    );
    expect(reader.line('database rights')).toContain(
      `grant select, insert, update, delete on all tables in schema public`,
    );
    await server.runIn(
      owners,
      `grant select, insert, update, delete on all tables in schema public to ${role}`,
    );
    const good = await doctor(url.href);
    expect(good.failures).toEqual([]);
    await server.runIn(owners, 'delete from migration where name like $$%pending-link-user%$$');
    const pending = await doctor(url.href);
    await expectFailure(pending, 'database rights', 'Migrations are missing');
    await server.runIn(owners, `revoke usage on schema public from public, ${role}`);
    expect((await doctor(url.href)).line('database rights')).toContain('may use no schema');
  });

  test('VLT-43 allows fewer connections than a pool has', async () => {
    const owners = await server.createMigrated();
    const url = new URL(owners);
    url.username = await server.createRole('connection limit 4');
    await server.runIn(owners, `grant all on all tables in schema public to ${url.username}`);
    const small = await doctor(url.href, { DATABASE_POOL_MAX: '5' });
    await expectFailure(
      small,
      'connection limits',
      'DATABASE_POOL_MAX is 5, and the role allows 4 connections.',
    );
    const one = await doctor(url.href, { DATABASE_POOL_MAX: '4' });
    expect(one.line('connection limits')).toContain('warning  connection limits  DATABASE_POOL_MAX is 4');
    expect(one.exitCode).toBe(0);
  });

  test('VLT-43 lacks migrations, which is no failure, and applies none', async () => {
    const url = await server.createDatabase('template template1');
    for (const { exitCode, line } of [await doctor(url), await doctor(url)]) {
      expect(line('migrations')).toContain('warning  migrations  Not applied yet: migration');
      expect(line('migrations')).toContain('Run migrate');
      expect(exitCode).toBe(0);
    }
    const opened = await openDatabase({ url, dataDir: '', poolMax: 2, timeoutMs: 4_000 });
    expect(
      await opened.em.fork().execute(`select 1 from pg_class where relnamespace = 'public'::regnamespace`),
    ).toEqual([]);
    await opened.close();
  });

  test('VLT-43 was migrated by a newer version, which is no failure', async () => {
    const url = await server.createMigrated();
    await server.runIn(url, `insert into migration (name) values ('migration29991231-later')`);
    const { exitCode, line } = await doctor(url);
    expect(line('migrations')).toContain(
      'warning  migrations  Applied by a newer version: migration29991231-later.',
    );
    expect(exitCode).toBe(0);
  });
});

onPostgres('rollup-accounts doctor, beside a server with the key "k1"', () => {
  const K2 = randomKey('k2');
  const running = useStarted(() => startProcess(goodEnv()));
  const tokenKeys = async (TOKEN_KEYS: string): Promise<Diagnosis> => {
    expect(running.url).toContain('http');
    return runDoctor({ ...goodEnv(), TOKEN_KEYS });
  };

  test('VLT-47 finds nothing wrong with the same key, nor with another that only unwraps', async () => {
    const same = 'ok  token keys  "k1" seals, and no key is missing.';
    expect((await tokenKeys(K1)).line('token keys')).toBe(same);
    expect((await tokenKeys(`${K1},${K2}`)).line('token keys')).toBe(same);
  });

  test('VLT-47 finds other bytes under a known name', async () => {
    await expectFailure(await tokenKeys(randomKey('k1')), 'token keys', 'the key "k1" with other bytes');
  });

  test('VLT-47 finds a server that lacks the key that would seal', async () => {
    await expectFailure(await tokenKeys(`${K2},${K1}`), 'token keys', 'Servers that run lack the key "k2"');
  });
});

needs('postgres', 'pgbouncer')('rollup-accounts doctor behind PgBouncer', () => {
  test.each([
    ['transaction', 5],
    ['transaction', 1],
  ] as const)('VLT-40 in %s mode with %d connections finds it, and nothing wrong', async (mode, size) => {
    const bouncer = await startPgBouncer(database.env.DATABASE_URL ?? '', size, mode);
    const { exitCode, line, failures } = await runDoctor({ ...goodEnv(), DATABASE_URL: bouncer.url });
    await bouncer.close();
    expect(failures).toEqual([]);
    expect(line('pooler')).toContain('ok  pooler  One in transaction mode, which works');
    expect(line('connection limits')).toContain('Those of the pooler hold');
    expect(exitCode).toBe(0);
  });

  test('VLT-43 in statement mode says that it cannot work', async () => {
    const bouncer = await startPgBouncer(database.env.DATABASE_URL ?? '', 5, 'statement');
    const diagnosis = await runDoctor({ ...goodEnv(), DATABASE_URL: bouncer.url });
    await bouncer.close();
    await expectFailure(diagnosis, 'pooler', 'Set its pool_mode to transaction');
  });
});
