import { useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { randomKey } from '../kit/server-env.js';
import { startProcess } from '../kit/server.js';
import { createTestDatabase } from '../kit/test-database.js';

/** Nothing but the list of configured secrets can know these: none has the shape of a token. */
const SECRETS = {
  client: 'the-secret-of-the-client',
  galaxy: 'the-key-of-galaxy',
  redis: 'the-password-of-redis',
};

describe('the log of a server', () => {
  let databasePassword: string;
  const server = useStarted(async (closeToo) => {
    const { env } = closeToo(await createTestDatabase());
    const url = env.DATABASE_URL === undefined ? undefined : new URL(env.DATABASE_URL);
    // A server that trusts its callers takes any password.
    if (url) databasePassword = url.password ||= 'the-password-of-the-database';
    return startProcess({
      ...env,
      ...(url && { DATABASE_URL: url.href }),
      PORT: '0',
      TOKEN_KEYS: randomKey('k1'),
      SHUTDOWN_DELAY_MS: '0',
      ROLLUP_ISSUER: 'https://127.0.0.1:1',
      ROLLUP_CLIENT_ID: 'client',
      ROLLUP_CLIENT_SECRET: SECRETS.client,
      ROLLUP_REDIRECT_URIS: 'https://app.example/callback',
      GALAXY_URL: 'https://127.0.0.1:1/graphql',
      GALAXY_API_KEY: SECRETS.galaxy,
      REDIS_URL: `redis://user:${SECRETS.redis}@127.0.0.1:1`,
    });
  });

  test.each(Object.entries(SECRETS))('STO-02 never has the configured secret of the %s', expectRedacted);

  onPostgres('on PostgreSQL', () => {
    test('STO-02 never has the password of the database', () => expectRedacted('database', databasePassword));
  });

  async function expectRedacted(name: string, secret: string): Promise<void> {
    await fetch(`${server.url}/${name}/${secret}/end`);
    await server.run.until(`"path":"/${name}/`);
    expect(server.output()).toContain(`"path":"/${name}/[redacted]/end"`);
    expect(server.output()).not.toContain(secret);
  }
});
