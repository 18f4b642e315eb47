import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { connectionOptions, findUrlProblems } from '../../src/database/connection-options.js';
import { findSecrets, parseDatabaseUrl } from '../../src/database/database-url.js';
import { ConfigError } from '../../src/errors.js';
import { type Authority, type Certificate, createAuthority } from '../kit/certificates.js';
import { useDirectory } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';
import { fc } from '../kit/properties.js';

const BASE = 'postgresql://ada:secret@db.example/accounts';

const SECURE = `${BASE}?sslmode=verify-full`;

function settingsOf(url: string) {
  const { settings, problems } = parseDatabaseUrl(url);
  expect(problems).toEqual([]);
  return settings;
}

describe('VLT-70 honoured is', () => {
  test.each<[what: string, url: string, settings: object]>([
    [
      'user, password, host and database',
      BASE,
      { user: 'ada', password: 'secret', host: 'db.example', database: 'accounts' },
    ],
    ['the other scheme', 'postgres://db/a', { host: 'db', database: 'a' }],
    [
      'the default of the port, of TLS and of the name',
      BASE,
      { port: 5432, tls: undefined, applicationName: 'rollup-accounts' },
    ],
    [
      'the user of the operating system',
      'postgresql://db/a',
      { user: userInfo().username, password: undefined },
    ],
    [
      'percent-encoding',
      'postgresql://a%40b:p%3A%2F%3F%23%25@db/x%2Fy',
      { user: 'a@b', password: 'p:/?#%', database: 'x/y' },
    ],
    ['a colon in a password', 'postgresql://ada:p:ss@db/a', { user: 'ada', password: 'p:ss' }],
    [
      'a plus sign, which is no space',
      'postgresql://ada:p+ss@db/a?application_name=a+b',
      { password: 'p+ss', applicationName: 'a+b' },
    ],
    [
      'an empty password or port, which is none',
      'postgresql://ada:@db:/a',
      { password: undefined, port: 5432 },
    ],
    ['a port', 'postgresql://db:6432/a', { port: 6432 }],
    ['an IPv6 address', 'postgresql://[::1]:6432/a', { host: '::1', port: 6432 }],
    ['an IPv6 address with a zone', 'postgresql://[fe80::1%25eth0]/a', { host: 'fe80::1%eth0' }],
    ['a Unix socket in front', 'postgresql://%2Frun%2Fpostgresql/a', { host: '/run/postgresql', port: 5432 }],
    [
      'a Unix socket behind',
      'postgresql://ada@/a?host=/run/postgresql&port=6432',
      { user: 'ada', host: '/run/postgresql', port: 6432 },
    ],
    [
      'everything as parameters',
      'postgresql://?host=db&port=1&user=ada&password=p&dbname=a',
      { host: 'db', port: 1, user: 'ada', password: 'p', database: 'a' },
    ],
    ['application_name', `${BASE}?application_name=a&fallback_application_name=b`, { applicationName: 'a' }],
    ['fallback_application_name', `${BASE}?fallback_application_name=b`, { applicationName: 'b' }],
    ['connect_timeout, in seconds', `${BASE}?connect_timeout=10`, { connectTimeoutMs: 10_000 }],
    ['client_encoding', `${BASE}?client_encoding=utf8`, {}],
    ['options', `${BASE}?options=-c%20geqo%3Doff`, { options: '-c geqo=off' }],
    ['schema', `${BASE}?schema=a`, { options: '-c search_path="a"' }],
    [
      'any schema, after options',
      `${BASE}?schema=a%20%22%5C&options=-c%20geqo%3Doff`,
      { options: String.raw`-c geqo=off -c search_path="a\ ""\\"` },
    ],
    ['keepalives', `${BASE}?keepalives=0`, { keepAlive: false }],
    [
      'keepalives_idle, in seconds',
      `${BASE}?keepalives_idle=30`,
      { keepAlive: true, keepAliveIdleMs: 30_000 },
    ],
    ['channel_binding', `${BASE}?channel_binding=prefer`, { channelBinding: true }],
    [
      'what is so anyway',
      `${BASE}?gssencmode=disable&target_session_attrs=read-write&load_balance_hosts=disable&sslsni=1&sslnegotiation=postgres`,
      {},
    ],
    ['sslmode=disable', `${BASE}?sslmode=disable`, { tls: undefined }],
    ['sslmode=require', `${BASE}?sslmode=require`, { tls: { mode: 'require' } }],
    ['ssl=true', `${BASE}?ssl=true`, { tls: { mode: 'require' } }],
    [
      'sslmode=verify-ca',
      `${BASE}?sslmode=verify-ca`,
      { tls: { mode: 'verify-ca', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } },
    ],
    [
      'sslmode=require with certificates to trust',
      `${BASE}?sslmode=require&sslrootcert=/ca`,
      { tls: { mode: 'verify-ca', rootCert: '/ca' } },
    ],
    [
      'sslrootcert=system, which verifies all',
      `${BASE}?sslrootcert=system`,
      { tls: { mode: 'verify-full', rootCert: 'system' } },
    ],
    [
      'our own certificate',
      `${SECURE}&sslcert=/c&sslkey=/k&sslpassword=p`,
      { tls: { cert: '/c', key: '/k', keyPassword: 'p' } },
    ],
    [
      'versions of TLS',
      `${SECURE}&ssl_min_protocol_version=tlsv1.3&ssl_max_protocol_version=TLSv1.3`,
      { tls: { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } },
    ],
    ['sslnegotiation=direct', `${SECURE}&sslnegotiation=direct`, { tls: { direct: true } }],
  ])('%s', (_what, url, settings) => {
    expect(settingsOf(url)).toMatchObject(settings);
  });

  test('nothing that could be changed later', () => {
    const settings = settingsOf(SECURE);
    expect([Object.isFrozen(settings), Object.isFrozen(settings?.tls)]).toEqual([true, true]);
  });
});

/** Every parameter of libpq 18 (PostgreSQL manual, 34.1.2), of other drivers, and typing errors. */
const REFUSED =
  `hostaddr passfile require_auth requirepeer krbsrvname gsslib gssdelegation service servicefile replication
  sslcompression sslcrl sslcrldir sslcertmode sslkeylogfile keepalives_interval keepalives_count tcp_user_timeout
  min_protocol_version max_protocol_version scram_client_key scram_server_key oauth_issuer oauth_client_id
  oauth_client_secret oauth_scope connection_limit pool_timeout statement_timeout search_path pgbouncer sslaccept sslmod
  constructor`.split(/\s+/);

describe('VLT-70 refused by name is', () => {
  test.each(REFUSED)('%s', (name) => {
    const { problems } = parseDatabaseUrl(`${BASE}?${name}=1`);
    expect(problems).toEqual([expect.stringMatching(`^DATABASE_URL: ${name} is not honoured: .`)]);
  });

  test.each([
    ['sslmode', 'sslmode=prefer'],
    ['sslmode', 'sslmode=allow'],
    ['sslmode', 'sslmode=Require'],
    ['sslmode', 'sslmode='],
    ['sslmode', 'sslmode'],
    ['sslmode', 'sslmode=require&sslmode=verify-full'],
    ['sslmode', 'ssl=true&sslmode=verify-full'],
    ['ssl', 'ssl=false'],
    ['sslrootcert', 'sslrootcert=/etc/ssl/ca.crt'],
    ['sslrootcert', 'sslmode=require&sslrootcert=system'],
    ['sslrootcert', 'sslmode=disable&sslrootcert=system'],
    ['sslcert', 'sslmode=require&sslcert=/c'],
    ['sslkey', 'sslmode=require&sslkey=/k'],
    ['sslpassword', 'sslmode=require&sslpassword=hunter2secret'],
    ['ssl_min_protocol_version', 'sslmode=require&ssl_min_protocol_version=TLSv1.1'],
    ['ssl_max_protocol_version', 'ssl_max_protocol_version=TLSv1.3'],
    [
      'ssl_min_protocol_version',
      'sslmode=require&ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2',
    ],
    ['sslnegotiation', 'sslnegotiation=direct'],
    ['sslsni', 'sslmode=require&sslsni=0'],
    ['channel_binding', 'channel_binding=require'],
    ['gssencmode', 'gssencmode=prefer'],
    ['target_session_attrs', 'target_session_attrs=standby'],
    ['load_balance_hosts', 'load_balance_hosts=random'],
    ['client_encoding', 'client_encoding=LATIN1'],
    ['connect_timeout', 'connect_timeout=0'],
    ['connect_timeout', 'connect_timeout=1.5'],
    ['connect_timeout', 'connect_timeout=1000'],
    ['keepalives', 'keepalives=yes'],
    ['keepalives_idle', 'keepalives_idle=-1'],
    ['options', 'options=-c+search_path%3Da'],
    ['schema', 'schema='],
    ['host', 'host=other'],
    ['port', 'port=5433&port=5434'],
    ['user', 'user=other'],
    ['password', 'password=hunter2secret'],
    ['dbname', 'dbname=other'],
  ])('%s in %s', (name, query) => {
    const { problems } = parseDatabaseUrl(`${BASE}?${query}`);
    expect(problems.join('\n')).toMatch(new RegExp(`^DATABASE_URL: .*\\b${name}\\b`, 'm'));
    expect(problems.join('\n')).not.toContain('hunter2secret');
  });

  test('TLS over a Unix socket, which has none', () => {
    const { problems } = parseDatabaseUrl('postgresql://ada@/a?host=/run/postgresql&sslmode=require');
    expect(problems).toEqual(['DATABASE_URL: sslmode needs a host: a Unix socket has no TLS']);
  });

  test('everything that is wrong, at once', () => {
    const { problems } = parseDatabaseUrl('postgresql://?sslmode=prefer&port=0&hostaddr=::1&user=ada');
    expect(problems.map((problem) => problem.split(' ', 4).join(' ')).toSorted()).toEqual([
      'DATABASE_URL must name a',
      'DATABASE_URL must name a',
      'DATABASE_URL: hostaddr is not',
      'DATABASE_URL: port must be',
      'DATABASE_URL: sslmode must be',
    ]);
  });
});

const UNENCODED = 'DATABASE_URL is not percent-encoded: ';

describe('VLT-72 a mistake is told without a value:', () => {
  test.each([
    ['p@hunter2secret', UNENCODED],
    ['p/hunter2secret', UNENCODED],
    ['p?hunter2secret', UNENCODED],
    ['p#hunter2secret', UNENCODED],
    ['p%hunter2secret', UNENCODED],
    ['p%00hunter2secret', UNENCODED],
    ['p%FFhunter2secret', UNENCODED],
    ['12/hunter2secret', UNENCODED],
    ['12/?hunter2secret', UNENCODED],
    ['?sslmode=hunter2secret', UNENCODED],
    ['p?hunter=2&secret=hunter2secret', UNENCODED],
    ['p hunter2secret', 'DATABASE_URL has white space in it: '],
    ['p\nhunter2secret', 'DATABASE_URL has white space in it: '],
  ])('the password %j', (password, sentence) => {
    for (const user of ['ada', '']) {
      const { problems } = parseDatabaseUrl(
        `postgresql://${user}:${password}@db.example:5432/accounts?sslmode=require`,
      );
      expect(problems).toEqual([expect.stringMatching(`^${sentence}`)]);
      expect(problems.join()).not.toMatch(/hunter|secret/);
    }
  });

  test.each([
    ['mysql://root:hunter2secret@db/a', 'DATABASE_URL must start with postgresql:// or postgres://'],
    ['hunter2secret', 'DATABASE_URL must start with'],
    ['postgresql://', 'DATABASE_URL must start with'],
    ['postgresql://ada:hunter2secret@db', 'DATABASE_URL must name a database'],
    ['postgresql://ada:hunter2secret@db/?schema=a', 'DATABASE_URL must name a database'],
    ['postgresql://ada:hunter2secret@/a', 'DATABASE_URL must name a host'],
    ['postgresql://db/hunter2secret/', 'DATABASE_URL must end with one name'],
    ['postgresql://db/a#hunter2secret', UNENCODED],
    ['postgresql://ada:hunter2secret/a', 'DATABASE_URL: port must be a whole number'],
    ['postgresql://db:0/hunter2secret', 'DATABASE_URL: port must be a whole number'],
    ['postgresql://db:65536/hunter2secret', 'DATABASE_URL: port must be a whole number'],
    ['postgresql://hunter2$secret/a', 'DATABASE_URL: host must be a name, an address'],
    ['postgresql://@hunter2secret:1:2/a', 'DATABASE_URL must have an IPv6 address in brackets'],
    ['postgresql://::1/a', 'DATABASE_URL must have an IPv6 address in brackets'],
    ['postgresql://[hunter2secret]/a', 'DATABASE_URL must have an IPv6 address in brackets'],
    ['postgresql://[::1/a', 'DATABASE_URL must have an IPv6 address in brackets'],
    ['postgresql://a,hunter2secret/a', 'DATABASE_URL names several hosts'],
    ['postgresql://a:1,b:2/a', 'DATABASE_URL names several hosts'],
    ['postgresql:///a?host=a,b', 'DATABASE_URL names several hosts'],
    ['postgresql:///a?host=a&port=1,2', 'DATABASE_URL names several hosts'],
    ['postgresql://db/a?hunter2secret', 'DATABASE_URL has a parameter that is unknown'],
    ['postgresql://db/a?hunter2secret=1', 'DATABASE_URL has a parameter that is unknown'],
    ['postgresql://db/a?password=p&huntersecret=1', 'DATABASE_URL has a parameter that is unknown'],
    ['postgresql://db/a?&sslmode=require', 'DATABASE_URL has a parameter that is unknown'],
    ['postgresql://db/a?application_name=a@hunter2secret', UNENCODED],
  ])('%s', (url, sentence) => {
    const { problems } = parseDatabaseUrl(url);
    expect(problems).toEqual([expect.stringMatching(`^${sentence.replaceAll(/[()]/g, '.')}`)]);
    expect(problems.join()).not.toMatch(/hunter|secret/);
  });

  test('a password is what was encoded, or a problem that shows nothing of it', () => {
    const password = fc.string({ minLength: 1, unit: 'grapheme-ascii' });
    fc.assert(
      fc.property(password, (text) => {
        const encoded = encodeURIComponent(text);
        expect(settingsOf(`postgresql://ada:${encoded}@db/a`)?.password).toBe(text);
        expect(settingsOf(`postgresql://ada@db/a?password=${encoded}`)?.password).toBe(text);
        const marked = `Zx9${text}`;
        const raw = parseDatabaseUrl(`postgresql://ada:${marked}@db/a`);
        expect(raw.problems.join()).not.toContain('Zx9');
        const { password: read } = raw.settings ?? {};
        expect(read === undefined ? raw.problems.length : read === decodeURIComponent(marked)).toBeTruthy();
      }),
    );
  });

  test('and the log knows a password in every form', () => {
    expect(findSecrets('postgresql://a:p%40ss@db/a?sslpassword=k%2Fey')).toEqual([
      'p@ss',
      'p%40ss',
      'k/ey',
      'k%2Fey',
    ]);
    expect(findSecrets('postgresql://a:p@ss@db/a')).toEqual([]);
  });
});

describe('VLT-70 pg is given', () => {
  const optionsOf = (query: string) => connectionOptions(`${BASE}?${query}`);

  test('every value that it would look for elsewhere', () => {
    expect(connectionOptions('postgresql://ada@[::1]/accounts')).toEqual({
      host: '::1',
      port: 5432,
      user: 'ada',
      password: expect.any(Function) as unknown,
      dbName: 'accounts',
      driverOptions: {
        ssl: false,
        sslnegotiation: 'postgres',
        enableChannelBinding: false,
        application_name: 'rollup-accounts',
        keepAlive: true,
        keepAliveInitialDelayMillis: 0,
      },
    });
  });

  test.each<[query: string, options: object]>([
    ['connect_timeout=10', { connectionTimeoutMillis: 10_000 }],
    ['options=-c%20geqo%3Doff', { options: '-c geqo=off' }],
    ['keepalives_idle=30', { keepAlive: true, keepAliveInitialDelayMillis: 30_000 }],
    ['keepalives=0', { keepAlive: false }],
    ['channel_binding=prefer', { enableChannelBinding: true }],
    ['sslmode=require&sslnegotiation=direct', { sslnegotiation: 'direct' }],
    ['sslmode=require', { ssl: { rejectUnauthorized: false, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } }],
    ['sslmode=verify-ca', { ssl: { rejectUnauthorized: true } }],
    ['sslmode=verify-full', { ssl: { rejectUnauthorized: true } }],
  ])('%s', (query, options) => {
    expect(optionsOf(query).driverOptions).toMatchObject(options);
  });

  test('a schema', () => {
    expect(optionsOf('schema=a').driverOptions).toMatchObject({ options: '-c search_path="a"' });
  });
});

needs('openssl')('VLT-72 a file of a certificate is told by its parameter when', () => {
  const directory = useDirectory();
  let authority: Authority;
  let ours: Certificate;
  let encrypted: Certificate;
  beforeAll(() => {
    authority = createAuthority();
    ours = authority.issue('ours', 'DNS:ours');
    encrypted = authority.issue('ours', 'DNS:ours', 'hunter2secret');
    writeFileSync(join(directory, 'text'), 'not a certificate');
  });
  afterAll(() => authority.close());

  test.each<[string, () => object, string | undefined]>([
    [
      'nothing is wrong',
      () => ({ sslrootcert: authority.ca, sslcert: ours.cert, sslkey: ours.key }),
      undefined,
    ],
    [
      'nothing is wrong with a password',
      () => ({ sslcert: encrypted.cert, sslkey: encrypted.key, sslpassword: 'hunter2secret' }),
      undefined,
    ],
    [
      'it is not there',
      () => ({ sslrootcert: join(directory, 'hunter') }),
      'sslrootcert names a file that cannot be read',
    ],
    ['it is a directory', () => ({ sslrootcert: directory }), 'sslrootcert names a file that cannot be read'],
    [
      'it holds something else',
      () => ({ sslrootcert: join(directory, 'text') }),
      'sslrootcert names a file without a certificate',
    ],
    [
      'it is the key',
      () => ({ sslcert: ours.key, sslkey: ours.key }),
      'sslcert names a file without a certificate',
    ],
    [
      'it is no key',
      () => ({ sslcert: ours.cert, sslkey: ours.cert }),
      'sslkey names a file without a key that can be opened',
    ],
    [
      'the password lacks',
      () => ({ sslcert: encrypted.cert, sslkey: encrypted.key }),
      'sslkey names a file without a key that can be opened',
    ],
    [
      'the password is another',
      () => ({ sslcert: encrypted.cert, sslkey: encrypted.key, sslpassword: 'hunter3' }),
      'sslkey names a file without a key that can be opened',
    ],
    [
      'the key is of another certificate',
      () => ({ sslcert: authority.ca, sslkey: ours.key }),
      'sslcert and sslkey do not belong together',
    ],
  ])('%s', (_what, parameters, problem) => {
    const query = Object.entries(parameters()).map((pair) => pair.map(encodeURIComponent).join('='));
    const url = `${SECURE}&${query.join('&')}`;
    const problems = findUrlProblems(url);
    expect(problems.join()).not.toContain('hunter');
    const expected = problem === undefined ? /^$/ : new RegExp(`^DATABASE_URL: ${problem}.*$`);
    expect(problems.join('\n')).toMatch(expected);
    const refusal = problem === undefined ? undefined : ConfigError;
    expect(refusalOf(() => connectionOptions(url))).toBe(refusal);
  });
});

/** The class of what is thrown. */
function refusalOf(act: () => unknown): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.constructor : error;
  }
}
