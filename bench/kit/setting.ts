import { fork } from 'node:child_process';
import { once } from 'node:events';
import { startProcess } from '../../test/kit/server.js';
import { randomKey } from '../../test/kit/server-env.js';
import makeTemplates, { dropTemplate } from '../../test/kit/templates.mjs';
import { createTestDatabase } from '../../test/kit/test-database.js';
import { createMint, createPrivateKeyPem } from './tokens.js';

export const REDIRECT_URI = 'http://127.0.0.1/callback';
const CLIENT_ID = 'bench-client';
const CLIENT_SECRET = 'a-client-secret-of-some-length';
/** Node options of the server alone, such as `--cpu-prof`. */
const NODE_OPTIONS = process.env['BENCH_NODE_OPTIONS'] ?? '';

/** One server process, on the server of `TEST_DATABASE_URL` or embedded, and a provider in another process. */
export async function startSetting() {
  await makeTemplates();
  const database = await createTestDatabase();
  const privateKey = createPrivateKeyPem();
  const provider = fork(new URL('provider-process.ts', import.meta.url), {
    env: { ...process.env, PRIVATE_KEY: privateKey, CLIENT_ID },
  });
  const [issuer] = (await once(provider, 'message')) as [string];
  const server = await startProcess({
    ...database.env,
    NODE_OPTIONS,
    NODE_ENV: 'test',
    PORT: '0',
    SHUTDOWN_DELAY_MS: '0',
    RATE_LIMIT_ADDRESS: '10000000',
    RATE_LIMIT_SUBJECT: '1000000',
    OPEN_LINKS_PER_ADDRESS: '1000000',
    ROLLUP_ISSUER: issuer,
    ROLLUP_CLIENT_ID: CLIENT_ID,
    ROLLUP_CLIENT_SECRET: CLIENT_SECRET,
    ROLLUP_REDIRECT_URIS: REDIRECT_URI,
    GALAXY_URL: `${issuer}/graphql`,
    GALAXY_API_KEY: 'a-galaxy-key-of-some-length',
    TOKEN_KEYS: randomKey('k1'),
  });
  return {
    issuer,
    mint: createMint({ issuer, clientId: CLIENT_ID, privateKey }),
    url: server.url,
    pid: server.run.process.pid,
    settings: database.settings,
    credentials: { client_id: CLIENT_ID, client_secret: CLIENT_SECRET },
    /** For the report. */
    setup: { database: database.env.DATABASE_URL ? 'PostgreSQL' : 'PGlite' },
    close: async (): Promise<void> => {
      await server.close();
      provider.disconnect();
      await database.close();
      await dropTemplate();
    },
  };
}
