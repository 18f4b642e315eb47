import './secret-files.cases.js';
import { loadConfig } from '../src/config.js';
import { ConfigError } from '../src/errors.js';
import type { Environment } from '../src/settings-reader.js';
import { PRODUCTION } from './kit/server-env.js';

const { NODE_ENV: _production, ...OUTSIDE_PRODUCTION } = PRODUCTION;

/** Empty when the settings are accepted. */
function problemsOf(env: Environment): readonly string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('settings', () => {
  test.each([
    ['PORT', '65535', '65536'],
    ['DATABASE_POOL_MAX', '1', '0'],
    ['LINK_TTL_SECONDS', '1', '0'],
    ['REFRESH_LEASE_SECONDS', '6', '5'],
    ['GRAPHQL_MAX_DEPTH', '1000', '1e3'],
    ['SHUTDOWN_GRACE_MS', '600000', '600001'],
    ['INTROSPECTION', 'on', 'yes'],
    ['LOG_LEVEL', 'debug', 'verbose'],
    ['ROLLUP_NONCE', 'required', 'optional'],
    ['REFRESH_TOKEN_ROTATION', 'never', 'sometimes'],
    ['TRUST_PROXY', '10.0.0.0/8, ::1, fd00::/128', '10.0.0.0/33'],
    ['TRUST_PROXY', '10.0.0.1', 'loopback'],
    ['METRICS_FROM', '0.0.0.0/0', '0.0.0.0/0/0'],
    ['CORS_ORIGINS', 'https://a.example, http://b.example:8080', 'https://a.example/'],
    ['CORS_ORIGINS', 'https://a.example', '*'],
    ['REDIS_URL', 'rediss://cache.example', 'http://cache.example'],
    ['DATABASE_URL', 'postgres://a.example/b', 'postgresql:'],
    ['ROLLUP_ISSUER', 'https://passport.example:8443', 'https://passport.example/rollup'],
    ['ROLLUP_REDIRECT_URIS', 'https://app.example/callback?a=b', 'https://app.example/callback#a'],
    ['ROLLUP_REDIRECT_URIS', 'https://app.example/a,https://b.example', 'https://user@app.example/a'],
    ['GALAXY_URL', 'https://galaxy.example', 'https://user@galaxy.example'],
  ])('%s = "%s" is accepted, "%s" is not', (name, good, bad) => {
    expect(problemsOf({ ...PRODUCTION, [name]: good })).toEqual([]);
    const problems = problemsOf({ ...PRODUCTION, [name]: bad });
    expect(problems.filter((problem) => problem.includes(`${name} must `))).toHaveLength(1);
  });

  test.each([
    ['DATABASE_URL', ''],
    ['DATABASE_URL', 'mysql://root@localhost/secret-database'],
    ['ROLLUP_ISSUER', ''],
    ['ROLLUP_ISSUER', 'http://passport.example'],
    ['ROLLUP_ISSUER', 'https://passport.example/'],
    ['ROLLUP_CLIENT_ID', ''],
    ['ROLLUP_CLIENT_SECRET', ''],
    ['ROLLUP_REDIRECT_URIS', 'http://app.example/callback'],
    ['GALAXY_URL', ''],
    ['GALAXY_URL', 'http://galaxy.example/secret-path'],
    ['GALAXY_API_KEY', ''],
    ['TOKEN_KEYS', ''],
    ['TOKEN_KEYS', 'k1:c2hvcnQtc2VjcmV0'],
    ['TOKEN_KEYS', 'k1:ZXhhbXBsZS1rZXktZnJvbS10aGUtUkVBRE1FLTAwMDE'],
    ['PORT', 'eighty-secret'],
    ['REFRESH_LEASE_SECONDS', '5'],
    ['CORS_ORIGINS', 'https://app.example/path-secret'],
  ])(
    'HTP-24 %s = "%s" is refused in production, and the problem has its name without its value',
    (name, value) => {
      const [problem = '', ...others] = problemsOf({ ...PRODUCTION, [name]: value });
      expect(others).toEqual([]);
      expect(problem).toContain(name);
      expect(problem).not.toContain(value || 'hunter2secret');
    },
  );

  test.each(['ROLLUP_ISSUER', 'ROLLUP_REDIRECT_URIS', 'GALAXY_URL'])(
    '%s is plain http on this machine and outside production only',
    (name) => {
      const onlyHttps = expect.stringMatching(new RegExp(`${name} must .*https`)) as unknown;
      const local = { [name]: 'http://localhost:1' };
      expect(problemsOf({ ...OUTSIDE_PRODUCTION, ...local })).toEqual([]);
      expect(problemsOf({ ...PRODUCTION, ...local })).toContainEqual(onlyHttps);
      const remote = { [name]: 'http://localhost.example' };
      expect(problemsOf({ ...OUTSIDE_PRODUCTION, ...remote })).toContainEqual(onlyHttps);
    },
  );

  test('an empty setting counts as absent, and white space around one does not matter', () => {
    const read = ({ PORT, HOST }: Record<string, string>) => loadConfig({ ...PRODUCTION, PORT, HOST }).http;
    expect(read({ PORT: ' ', HOST: '' })).toMatchObject({ port: 4_000, host: '127.0.0.1' });
    expect(read({ PORT: ' 8080 ', HOST: ' ::1\n' })).toMatchObject({ port: 8_080, host: '::1' });
  });

  test('cannot be changed once they are read', () => {
    const config = loadConfig(PRODUCTION) as unknown as { http: { port: number; corsOrigins: string[] } };
    expect(() => (config.http.port = 1)).toThrow(TypeError);
    expect(() => config.http.corsOrigins.push('https://evil.example')).toThrow(TypeError);
  });

  test.each([
    ['introspection', (env: Environment) => loadConfig(env).graphql.introspection],
    ['generated key ring', (env: Environment) => problemsOf({ ...env, TOKEN_KEYS: '' }).length === 0],
  ])('production has no %s by default', (_what, has) => {
    expect([has(PRODUCTION), has(OUTSIDE_PRODUCTION)]).toEqual([false, true]);
  });
});
