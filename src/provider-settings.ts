import { knownScopes } from './scope.js';
import type { SettingsReader } from './settings-reader.js';

/** How this server and Rollup ID know each other. */
export interface RollupConfig {
  /** Exact issuer, no trailing slash; discovery is read below it. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Allowed redirect URIs, compared as exact strings. */
  readonly redirectUris: readonly string[];
}

/** Where Galaxy is, and the application's key to it. */
export interface GalaxyAccess {
  readonly url: string;
  readonly apiKey: string;
}

/** All four provider settings together, or none of them outside production. */
export function readRollup(read: SettingsReader): RollupConfig | undefined {
  const { production } = read;
  const names = ['ROLLUP_ISSUER', 'ROLLUP_CLIENT_ID', 'ROLLUP_CLIENT_SECRET', 'ROLLUP_REDIRECT_URIS'];
  if (!production && names.every((name) => read.secret(name) === undefined)) return undefined;
  const issuer = read.required('ROLLUP_ISSUER');
  if (issuer !== undefined) checkIssuer(read, issuer, production);
  const redirectUris = read.list('ROLLUP_REDIRECT_URIS');
  if (redirectUris.length === 0) read.problem('ROLLUP_REDIRECT_URIS is required');
  for (const uri of redirectUris) checkRedirectUri(read, uri, production);
  return {
    issuer: issuer ?? '',
    clientId: read.required('ROLLUP_CLIENT_ID') ?? '',
    clientSecret: read.required('ROLLUP_CLIENT_SECRET', true) ?? '',
    redirectUris,
  };
}

/** Both Galaxy settings, or none of them outside production. */
export function readGalaxy(read: SettingsReader): GalaxyAccess | undefined {
  const none = read.optional('GALAXY_URL') === undefined && read.secret('GALAXY_API_KEY') === undefined;
  if (none && !read.production) return undefined;
  const url = read.required('GALAXY_URL') ?? '';
  const parsed = URL.parse(url);
  if (url !== '' && (!parsed || parsed.username !== '' || !isSafeOrigin(parsed, read.production))) {
    read.problem('GALAXY_URL must be an https URL such as https://galaxy.rollup.id/graphql');
  }
  return { url, apiKey: read.required('GALAXY_API_KEY', true) ?? '' };
}

function checkIssuer(read: SettingsReader, issuer: string, production: boolean): void {
  const url = URL.parse(issuer);
  if (!url || url.origin !== issuer) {
    read.problem(
      'ROLLUP_ISSUER must be an origin such as https://passport.rollup.id, without a trailing slash',
    );
  } else if (!isSafeOrigin(url, production)) {
    read.problem('ROLLUP_ISSUER must use https');
  }
}

function checkRedirectUri(read: SettingsReader, uri: string, production: boolean): void {
  const url = URL.parse(uri);
  if (!url || url.hash !== '' || url.username !== '' || !isSafeOrigin(url, production)) {
    read.problem('ROLLUP_REDIRECT_URIS must list https URLs without fragment or user name');
  }
}

/** Plain http is for this machine only, and never in production. */
function isSafeOrigin(url: URL, production: boolean): boolean {
  if (url.protocol === 'https:') return true;
  return (
    !production && url.protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)
  );
}

/** What `startRollupLink` may ask for: `ROLLUP_SCOPES`, or every scope that is known. */
export function readAllowedScopes(read: SettingsReader): readonly string[] {
  const scopes = read.list('ROLLUP_SCOPES');
  return scopes.length > 0 ? scopes : [...knownScopes.keys()];
}
