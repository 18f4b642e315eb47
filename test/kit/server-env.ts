import type { RollupId } from '../../src/dev/rollup-id/rollup-id.js';

/** A provider that replaces the embedded Rollup ID. */
export interface Provider {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
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
