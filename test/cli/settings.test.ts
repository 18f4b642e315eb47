import { runProgram } from '../kit/processes.js';
import { PRODUCTION } from '../kit/server-env.js';

describe('settings', () => {
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
    'HTP-24 %s = "%s" in production: exit code 1, and the output names the setting without its value',
    async (name, value) => {
      const run = runProgram(['serve'], { ...PRODUCTION, [name]: value });
      expect(await run.exited).toBe(1);
      expect(run.output()).toContain(name);
      expect(run.output()).not.toContain(value || 'hunter2secret');
      expect(run.output()).not.toContain('hunter2secret');
    },
  );

  test('HTP-24 every problem is reported together', async () => {
    const run = runProgram(['serve'], { NODE_ENV: 'production', PORT: 'x', LINK_TTL_SECONDS: '-1' });
    expect(await run.exited).toBe(1);
    for (const name of [
      'DATABASE_URL',
      'ROLLUP_ISSUER',
      'ROLLUP_CLIENT_SECRET',
      'GALAXY_URL',
      'GALAXY_API_KEY',
      'TOKEN_KEYS',
      'PORT',
      'LINK_TTL_SECONDS',
    ]) {
      expect(run.output()).toContain(name);
    }
  });

  test('a secret may be given as a value or as a file, but not as both', async () => {
    const run = runProgram(['serve'], { ...PRODUCTION, ROLLUP_CLIENT_SECRET_FILE: '/nonexistent/file' });
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('ROLLUP_CLIENT_SECRET and ROLLUP_CLIENT_SECRET_FILE are both set');
    expect(run.output()).toContain('ROLLUP_CLIENT_SECRET_FILE names a file that cannot be read');
  });
});

test('rotate-keys needs a key ring, and reports problems of key ring and database together', async () => {
  const run = runProgram(['rotate-keys'], {
    DATABASE_URL: 'mysql://secret',
    TOKEN_KEYS: 'k1:c2hvcnQtc2VjcmV0',
  });
  expect(await run.exited).toBe(1);
  expect(run.output()).toContain('DATABASE_URL must start with postgresql://');
  expect(run.output()).toContain('TOKEN_KEYS entry 1 (kid k1) is not 32 bytes');
  const without = runProgram(['rotate-keys'], {});
  expect(await without.exited).toBe(1);
  expect(without.output()).toContain('TOKEN_KEYS is required');
});
