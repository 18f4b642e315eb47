import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, loadDatabaseConfig, loadKeysConfig } from '../src/config.js';
import { useDirectory } from './kit/hooks.js';
import { PRODUCTION } from './kit/server-env.js';

const { DATABASE_URL, ROLLUP_CLIENT_SECRET, GALAXY_API_KEY, TOKEN_KEYS, ...OTHERS } = PRODUCTION;
const SECRETS = {
  DATABASE_URL,
  ROLLUP_CLIENT_SECRET,
  GALAXY_API_KEY,
  TOKEN_KEYS,
  REDIS_URL: 'redis://:hunter2secret@127.0.0.1:1',
};

/** As Docker and Kubernetes mount secrets. */
describe('a secret in a file', () => {
  const directory = useDirectory();
  const inFile = (name: string, content: string): Record<string, string> => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return { [`${name}_FILE`]: path };
  };

  test('is the same setting as its value, without white space around it such as the line feed of an editor', () => {
    const files = Object.entries(SECRETS).map(([name, value]) => inFile(name, `  ${value}\r\n\n`));
    const env = Object.assign({ ...OTHERS }, ...files) as Record<string, string>;
    const settings = loadConfig({ ...OTHERS, ...SECRETS });
    expect(loadConfig(env)).toEqual(settings);
    expect(loadDatabaseConfig(env)).toEqual(settings.database);
    expect(loadKeysConfig(env)).toEqual({ database: settings.database, keys: TOKEN_KEYS });
  });

  test.each(['ROLLUP_CLIENT_SECRET', 'GALAXY_API_KEY', 'TOKEN_KEYS', 'DATABASE_URL'] as const)(
    'that is empty counts as absent: %s',
    (name) => {
      const { [name]: _value, ...env } = PRODUCTION;
      expect(() => loadConfig({ ...env, ...inFile(name, ' \n') })).toThrow(`${name} is required`);
    },
  );

  test('is refused beside its value, and when it cannot be read', () => {
    expect(() => loadConfig({ ...PRODUCTION, ...inFile('GALAXY_API_KEY', GALAXY_API_KEY) })).toThrow(
      'GALAXY_API_KEY and GALAXY_API_KEY_FILE are both set',
    );
    const missing = {
      ...OTHERS,
      ...SECRETS,
      TOKEN_KEYS: undefined,
      TOKEN_KEYS_FILE: join(directory, 'none'),
    };
    expect(() => loadConfig(missing)).toThrow('TOKEN_KEYS_FILE names a file that cannot be read');
  });
});
