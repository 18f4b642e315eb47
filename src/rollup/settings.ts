import type { DeepReadonly, SettingsReader } from '../settings-reader.js';

/** This server as a client of its issuer. */
export type RollupClientSettings = NonNullable<DeepReadonly<ReturnType<typeof readRollupClientSettings>>>;

export type ProviderSettings = DeepReadonly<ReturnType<typeof readProviderSettings>>;

const DAY_SECONDS = 86_400;

/** How the provider is called, and how its keys are cached. */
export function readProviderSettings(read: SettingsReader) {
  return {
    timeoutMs: read.integer('ROLLUP_TIMEOUT_MS', 5_000, 1, 60_000),
    nonceRequired: read.oneOf('ROLLUP_NONCE', 'ignored', ['ignored', 'required']) === 'required',
    lifetimes: {
      /** Younger than this, a value is fresh: it is returned without a refresh. */
      maxAgeMs: read.integer('JWKS_MAX_AGE_SECONDS', 600, 1, DAY_SECONDS) * 1_000,
      /** Least time between two refreshes for one reason, whether they succeed or fail. */
      cooldownMs: read.integer('JWKS_COOLDOWN_SECONDS', 30, 0, 3_600) * 1_000,
      /** How long after `maxAgeMs` a stale value is still usable while it cannot be refreshed. */
      staleMs: read.integer('JWKS_STALE_SECONDS', DAY_SECONDS, 0, 30 * DAY_SECONDS) * 1_000,
    },
  };
}

/** All four client settings together, or none of them outside production: then Rollup ID is embedded. */
export function readRollupClientSettings(read: SettingsReader) {
  const names = ['ROLLUP_ISSUER', 'ROLLUP_CLIENT_ID', 'ROLLUP_REDIRECT_URIS'];
  const values = [...names.map((name) => read.optional(name)), read.secret('ROLLUP_CLIENT_SECRET')];
  if (!read.production && values.every((value) => value === undefined)) return undefined;
  const issuer = read.required('ROLLUP_ISSUER');
  if (issuer !== undefined) checkIssuer(read, issuer);
  const redirectUris = read.list('ROLLUP_REDIRECT_URIS');
  if (redirectUris.length === 0) read.problem('ROLLUP_REDIRECT_URIS is required');
  for (const uri of redirectUris) checkRedirectUri(read, uri);
  return {
    /** Exact issuer, no trailing slash; discovery is read below it. */
    issuer: issuer ?? '',
    clientId: read.required('ROLLUP_CLIENT_ID') ?? '',
    clientSecret: read.required('ROLLUP_CLIENT_SECRET', true) ?? '',
    /** Allowed redirect URIs, compared as exact strings. */
    redirectUris,
  };
}

function checkIssuer(read: SettingsReader, issuer: string): void {
  const url = URL.parse(issuer);
  if (!url || url.origin !== issuer) {
    read.problem(
      'ROLLUP_ISSUER must be an origin such as https://passport.rollup.id, without a trailing slash',
    );
  } else if (!read.isSafeOrigin(url)) {
    read.problem('ROLLUP_ISSUER must use https');
  }
}

function checkRedirectUri(read: SettingsReader, uri: string): void {
  const url = URL.parse(uri);
  if (!url || url.hash !== '' || url.username !== '' || !read.isSafeOrigin(url)) {
    read.problem('ROLLUP_REDIRECT_URIS must list https URLs without fragment or user name');
  }
}
