import { runProgram } from '../kit/processes.js';
import { PRODUCTION } from '../kit/server-env.js';

describe('settings', () => {
  test('HTP-24 every problem is reported together, without values, and the exit code is 1', async () => {
    const wrong = { PORT: 'a-secret-port', DATABASE_URL: 'mysql://root:hunter2secret@localhost/none' };
    const run = runProgram(['serve'], { NODE_ENV: 'production', LINK_TTL_SECONDS: '-1', ...wrong });
    expect(await run.exited).toBe(1);
    expect(run.output()).not.toMatch(/secret-port|hunter2secret/);
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

  test.each(['serve', 'migrate', 'doctor'])(
    'VLT-72 %s tells a password that is not encoded',
    async (command) => {
      const url = 'postgresql://ada:hunter2secret@more@db.example/accounts';
      const run = runProgram([command], { DATABASE_URL: url, DATABASE_POOL_MAX: '0' });
      expect(await run.exited).toBe(1);
      expect(run.output()).toContain('DATABASE_URL is not percent-encoded');
      expect(run.output()).toContain('DATABASE_POOL_MAX must be');
      expect(run.output()).not.toMatch(/hunter|secret|more|db\.example/);
    },
  );

  test('a secret may be given as a value or as a file, but not as both', async () => {
    const run = runProgram(['serve'], { ...PRODUCTION, ROLLUP_CLIENT_SECRET_FILE: '/nonexistent/file' });
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('ROLLUP_CLIENT_SECRET and ROLLUP_CLIENT_SECRET_FILE are both set');
    expect(run.output()).toContain('ROLLUP_CLIENT_SECRET_FILE names a file that cannot be read');
  });
});

test('keys rotate needs a key ring, and reports problems of key ring and database together', async () => {
  const run = runProgram(['keys', 'rotate'], {
    DATABASE_URL: 'mysql://secret',
    TOKEN_KEYS: 'k1:c2hvcnQtc2VjcmV0',
  });
  expect(await run.exited).toBe(1);
  expect(run.output()).toContain('DATABASE_URL must start with postgresql://');
  expect(run.output()).toContain('TOKEN_KEYS entry 1 (kid k1) is not 32 bytes');
  const without = runProgram(['keys', 'rotate'], {});
  expect(await without.exited).toBe(1);
  expect(without.output()).toContain('TOKEN_KEYS is required');
});
