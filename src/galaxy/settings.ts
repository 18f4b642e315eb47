import type { DeepReadonly, SettingsReader } from '../settings-reader.js';

export type GalaxySettings = DeepReadonly<ReturnType<typeof readGalaxySettings>>;

/** Where Galaxy is, and how often it may be called. */
export function readGalaxySettings(read: SettingsReader) {
  return {
    /** Absent: the embedded one beside an embedded Rollup ID, otherwise none; never in production. */
    access: readAccess(read),
    /** Of all processes together. */
    requestsPerMinute: read.integer('GALAXY_REQUESTS_PER_MINUTE', 10, 1, 10_000),
    /** Younger than this, a response is served without a request. */
    cacheMs: read.integer('GALAXY_CACHE_SECONDS', 60, 0, 3_600) * 1_000,
    /** Younger than this, a response is served while Galaxy cannot be called. */
    staleMs: read.integer('GALAXY_STALE_SECONDS', 3_600, 0, 86_400) * 1_000,
  };
}

/** The endpoint and the application's key: both of them, or outside production none. */
function readAccess(read: SettingsReader): { readonly url: string; readonly apiKey: string } | undefined {
  const none = read.optional('GALAXY_URL') === undefined && read.secret('GALAXY_API_KEY') === undefined;
  if (none && !read.production) return undefined;
  const url = read.required('GALAXY_URL') ?? '';
  const parsed = URL.parse(url);
  if (url !== '' && (!parsed || parsed.username !== '' || !read.isSafeOrigin(parsed))) {
    read.problem('GALAXY_URL must be an https URL such as https://galaxy.rollup.id/graphql');
  }
  return { url, apiKey: read.required('GALAXY_API_KEY', true) ?? '' };
}
