import { randomBytes } from 'node:crypto';
import type { RollupId } from '../../src/dev/rollup-id/rollup-id.js';

/** A provider that replaces the embedded Rollup ID. */
export interface Provider {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
}

/** Complete settings of production; neither the database nor the provider exists. */
export const PRODUCTION = {
  NODE_ENV: 'production',
  PORT: '0',
  DATABASE_URL: 'postgresql://nobody:hunter2secret@127.0.0.1:1/none',
  ROLLUP_ISSUER: 'https://passport.example',
  ROLLUP_CLIENT_ID: 'client',
  ROLLUP_CLIENT_SECRET: 'a-client-secret-of-some-length',
  ROLLUP_REDIRECT_URIS: 'https://app.example/callback',
  GALAXY_URL: 'https://galaxy.example/graphql',
  GALAXY_API_KEY: 'a-galaxy-key-of-some-length',
  TOKEN_KEYS: randomKey('k1'),
};

/** A valid `TOKEN_KEYS` entry with a random key. */
export function randomKey(kid: string): string {
  return `${kid}:${randomBytes(32).toString('base64url')}`;
}

/** Settings of a server that uses this provider, and the embedded Rollup ID for Galaxy; without database and keys. */
export function serverEnv(provider: Provider, rollup: RollupId): Readonly<Record<string, string>> {
  return {
    NODE_ENV: 'test',
    PORT: '0',
    SHUTDOWN_DELAY_MS: '0',
    ROLLUP_ISSUER: provider.url,
    ROLLUP_CLIENT_ID: provider.clientId,
    ROLLUP_CLIENT_SECRET: provider.clientSecret,
    ROLLUP_REDIRECT_URIS: provider.redirectUris.join(','),
    GALAXY_URL: rollup.galaxyUrl,
    GALAXY_API_KEY: rollup.galaxyKey,
  };
}
