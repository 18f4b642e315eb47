import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { explainDatabaseError } from '../../src/cli/doctor/database-error.js';
import { openDatabase } from '../../src/database/orm.js';
import { openForInspection } from '../../src/database/inspection.js';
import { type Authority, createAuthority } from '../kit/certificates.js';
import { waitUntil } from '../kit/eventually.js';
import { useDirectory, useStarted } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';
import { listen } from '../kit/network.js';
import { LOOPBACKS, startPostgresCluster } from '../kit/postgres-cluster.js';
import { runProgram } from '../kit/processes.js';

/** What a server says of a session. */
interface Session {
  readonly role: string;
  readonly encrypted: boolean;
  readonly version: string | null;
  readonly client: string | null;
  readonly address: string | null;
  readonly application: string;
  readonly search_path: string;
}

const PASSWORD = 'p@ss:/w?rd#%';
/** Eight bytes that ask for TLS, and hold nothing else (PostgreSQL manual, 55.7, SSLRequest). */
const SSL_REQUEST = '0000000804d2162f';

/** The authority of the server and its clients, and another one. */
let right: Authority;
let wrong: Authority;

needs('postgres', 'openssl')('a server with TLS', () => {
  const cluster = useStarted(async (closeToo) => {
    right = closeToo(createAuthority());
    wrong = closeToo(createAuthority());
    // Without an address of ours, and with the name that Node assumes for addresses.
    const tls = { ...right.issue('server', 'DNS:localhost,IP:::1'), ca: right.ca };
    const hba = ['hostssl all certified all cert', 'host all locked all scram-sha-256'];
    return startPostgresCluster({ tls, hba });
  });
  beforeAll(async () => {
    await run('create role certified login');
    await run(`create role locked login password '${PASSWORD}'`);
  });
  const urlOf = (host: string, query: string, user = 'postgres') =>
    `postgresql://${user}@${host}:${cluster.port}/postgres?${query}`;
  const run = (statement: string) => ask(urlOf('127.0.0.1', ''), statement);
  const connect = async (url: string) => (await ask<Session>(url, SESSION))[0];

  test.each<[query: string, host: string, encrypted: boolean]>([
    ['', '127.0.0.1', false],
    ['sslmode=disable', '127.0.0.1', false],
    ['sslmode=require', '127.0.0.1', true],
    ['ssl=true', '127.0.0.1', true],
    ['sslmode=require&sslrootcert=RIGHT', '127.0.0.1', true],
    ['sslmode=verify-ca&sslrootcert=RIGHT', '127.0.0.1', true],
    ['sslmode=verify-full&sslrootcert=RIGHT', 'localhost', true],
  ])('VLT-71 is connected to with "%s" at %s, encrypted: %s', async (query, host, encrypted) => {
    expect(await connect(urlOf(host, withPaths(query)))).toMatchObject({ encrypted });
  });

  test.each<[query: string, host: string, code: string]>([
    ['sslmode=verify-full&sslrootcert=RIGHT', '127.0.0.1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['sslmode=verify-full&sslrootcert=WRONG', 'localhost', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['sslmode=verify-ca&sslrootcert=WRONG', 'localhost', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['sslmode=require&sslrootcert=WRONG', 'localhost', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['sslmode=verify-full', 'localhost', 'SELF_SIGNED_CERT_IN_CHAIN'],
  ])('VLT-71 is not connected to with "%s" at %s', async (query, host, code) => {
    const error: unknown = await connect(urlOf(host, withPaths(query))).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect(explainDatabaseError(error).message).toBe(
      `The certificate of the server does not verify: ${code}.`,
    );
  });

  test('VLT-71 is migrated when it is the right one, and otherwise the command exits with 1', async () => {
    const verified = urlOf('localhost', 'sslmode=verify-full');
    const runs = [
      { DATABASE_URL: `${verified}&sslrootcert=${right.ca}` },
      { DATABASE_URL: `${verified}&sslrootcert=system`, SSL_CERT_FILE: right.ca },
      { DATABASE_URL: verified, NODE_EXTRA_CA_CERTS: right.ca },
      { DATABASE_URL: `${verified}&sslrootcert=${wrong.ca}`, NODE_EXTRA_CA_CERTS: right.ca },
      { DATABASE_URL: `${verified}&sslrootcert=system`, NODE_EXTRA_CA_CERTS: right.ca },
      { DATABASE_URL: urlOf('127.0.0.1', `sslmode=verify-full&sslrootcert=${right.ca}`) },
    ].map((env) => runProgram(['migrate'], { ...env, NODE_TLS_REJECT_UNAUTHORIZED: '0' }));
    expect(await Promise.all(runs.map(({ exited }) => exited))).toEqual([0, 0, 0, 1, 1, 1]);
    for (const { output } of runs.slice(3)) {
      expect(output()).toContain('The certificate of the server of DATABASE_URL does not verify');
    }
  });

  test('VLT-63 a statement that was given up ends at the server, by a request that is encrypted too', async () => {
    const settings = {
      url: urlOf('localhost', 'sslmode=require'),
      dataDir: '',
      poolMax: 1,
      timeoutMs: 1_000,
    };
    const opened = await openDatabase(settings);
    await expect(opened.em.fork().execute('select pg_sleep(60)')).rejects.toThrow('canceling statement');
    await opened.close();
  });

  test('VLT-71 knows the client by its certificate, whose key may be encrypted', async () => {
    const encrypted = right.issue('certified', 'DNS:client', 'a-password-of-a-key');
    const files = `sslcert=${encrypted.cert}&sslkey=${encrypted.key}&sslpassword=a-password-of-a-key`;
    const session = await connect(urlOf('localhost', `sslmode=require&${files}`, 'certified'));
    expect(session).toMatchObject({ role: 'certified', client: '/CN=certified' });
    await expect(connect(urlOf('localhost', 'sslmode=require', 'certified'))).rejects.toThrow('certificate');
  });

  test.each(['TLSv1.2', 'TLSv1.3'])(
    'VLT-71 is spoken to in %s where that is the only version',
    async (version) => {
      const versions = `ssl_min_protocol_version=${version}&ssl_max_protocol_version=${version}`;
      expect(await connect(urlOf('localhost', `sslmode=require&${versions}`))).toMatchObject({ version });
    },
  );

  test.each(['disable', 'prefer'])('VLT-70 gets a password with channel_binding=%s', async (binding) => {
    const user = `locked:${encodeURIComponent(PASSWORD)}`;
    const url = urlOf('localhost', `sslmode=require&channel_binding=${binding}`, user);
    expect(await connect(url)).toMatchObject({ role: 'locked', encrypted: true });
  });

  test.each(LOOPBACKS)('VLT-70 is reached at %s', async (address) => {
    const host = address.includes(':') ? `[${address}]` : address;
    expect(await connect(urlOf(host, ''))).toMatchObject({ address });
  });

  test('VLT-70 is reached through its Unix socket', async () => {
    const host = encodeURIComponent(cluster.socket);
    for (const url of [
      urlOf(host, ''),
      urlOf('', `host=${cluster.socket}`).replace(/@:\d+/, '@').concat(`&port=${cluster.port}`),
    ]) {
      expect(await connect(url)).toMatchObject({ role: 'postgres', address: null });
    }
  });

  test('VLT-70 learns the name of the application and the options of a session', async () => {
    const url = urlOf('localhost', 'application_name=one&options=-c%20search_path%3Da,b');
    expect(await connect(url)).toMatchObject({ application: 'one', search_path: 'a,b' });
  });

  test('VLT-70 keeps each schema apart', async () => {
    for (const schema of ['one', 'with space"']) {
      const env = { DATABASE_URL: urlOf('localhost', `schema=${encodeURIComponent(schema)}`) };
      await run(`create schema "${schema.replaceAll('"', '""')}"`);
      for (const output of [/^applied/, /up to date/]) {
        const migrating = runProgram(['migrate'], env);
        expect(await migrating.exited).toBe(0);
        expect(migrating.output()).toMatch(output);
      }
      const names = await ask(env.DATABASE_URL, 'select 1 from migration, app_user');
      expect(names).toEqual([]);
    }
  });

  describe('and variables for libpq', () => {
    const directory = useDirectory();
    const set = new Set<string>();
    afterEach(() => set.forEach((name) => delete process.env[name]));

    test('VLT-70 is connected to without regard to them', async () => {
      const passwords = join(directory, 'pgpass');
      writeFileSync(passwords, `*:*:*:*:${PASSWORD.replace(':', '\\:')}\n`, { mode: 0o600 });
      const variables = {
        PGPASSWORD: PASSWORD,
        PGPASSFILE: passwords,
        PGSSLMODE: 'require',
        PGSSLNEGOTIATION: 'direct',
        PGOPTIONS: '-c search_path=x',
        PGAPPNAME: 'x',
        PGHOST: 'x',
        PGPORT: '1',
        PGUSER: 'x',
        PGDATABASE: 'x',
        PGREPLICATION: 'database',
      };
      Object.keys(variables).forEach((name) => set.add(name));
      Object.assign(process.env, variables);
      expect(await connect(urlOf('127.0.0.1', ''))).toMatchObject({
        role: 'postgres',
        encrypted: false,
        search_path: '"$user", public',
        application: 'rollup-accounts',
      });
      await expect(connect(urlOf('127.0.0.1', '', 'locked'))).rejects.toThrow('password');
      delete process.env['PGPASSWORD'];
      await expect(connect(urlOf('127.0.0.1', '', 'locked'))).rejects.toThrow('password');
    });
  });
});

needs('postgres', 'openssl')('what is not the server', () => {
  let authority: Authority;
  beforeAll(() => (authority = createAuthority()));
  afterAll(() => authority.close());

  test('VLT-71 gets nothing in clear when it has no TLS', async () => {
    const received: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        received.push(bytes.toString('hex'));
        socket.write('N');
      });
    });
    const url = `postgresql://ada:secret@127.0.0.1:${await listen(server)}/accounts?sslmode=require`;
    const migrating = runProgram(['migrate'], { DATABASE_URL: url });
    expect(await migrating.exited).toBe(1);
    const error: unknown = await ask(url, 'select 1').catch((reason: unknown) => reason);
    expect(explainDatabaseError(error).advice).toBe(
      'Turn ssl on at the server, or check sslmode in DATABASE_URL.',
    );
    expect(new Set(received)).toEqual(new Set([SSL_REQUEST]));
    server.close();
  });

  test('VLT-71 gets nothing at all when its certificate does not verify', async () => {
    const { cert, key } = authority.issue('somebody', 'DNS:localhost');
    const received: string[] = [];
    let refused = 0;
    const files = { cert: readFileSync(cert), key: readFileSync(key), ALPNProtocols: ['postgresql'] };
    const server = createTlsServer(files, (socket) => {
      received.push(`${String(socket.alpnProtocol)} `);
      socket
        .on('error', () => undefined)
        .once('data', (bytes) => {
          received.push(bytes.toString('latin1'));
          socket.destroy();
        });
    }).on('tlsClientError', () => (refused += 1));
    const url = `postgresql://ada@localhost:${await listen(server)}/accounts?sslnegotiation=direct`;
    const open = (query: string) => ask(url + query, 'select 1');
    await expect(open('&sslmode=verify-full')).rejects.toThrow('certificate');
    await waitUntil(() => refused > 0);
    expect(received).toEqual([]);
    // With direct negotiation TLS begins with the first byte.
    await expect(open('&sslmode=require')).rejects.toThrow('terminated');
    expect(received.join('')).toMatch(/^postgresql .*user\0ada\0/s);
    server.close();
  });
});

const SESSION = `select session_user::text as role, ssl as encrypted, version, client_dn as client,
    host(inet_server_addr()) as address, current_setting('application_name') as application,
    current_setting('search_path') as search_path
  from pg_stat_ssl where pid = pg_backend_pid()`;

/** Connects once, without another try. */
async function ask<Row extends object>(url: string, statement: string): Promise<Row[]> {
  const database = await openForInspection({ url, dataDir: '', poolMax: 1, timeoutMs: 5_000 });
  try {
    return await database.em.execute<Row[]>(statement);
  } finally {
    await database.close();
  }
}

/** The certificates exist when a test runs, not when its title is made. */
function withPaths(query: string): string {
  return query.replace('RIGHT', right.ca).replace('WRONG', wrong.ca);
}
