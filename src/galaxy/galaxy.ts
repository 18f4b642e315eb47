import type { SqlEntityManager } from '@mikro-orm/sql';
import { ProviderMisconfiguredError } from '../errors.js';
import type { Fetch } from '../fetch.js';
import { acquireGalaxySlot, ensureGalaxySlots } from './galaxy-budget.repository.js';
import { createGalaxyClient, type RequestGalaxy } from './galaxy-client.js';
import { GalaxyReader, type GalaxyReaderDeps } from './galaxy-reader.js';
import type { GalaxySettings } from './settings.js';

/** What the room depends on. Times in milliseconds. */
export interface GalaxyDeps extends Pick<
  GalaxyReaderDeps,
  'accessToken' | 'now' | 'monotonicNow' | 'backOffBaseMs' | 'onOutcome'
> {
  readonly fetch: Fetch;
  readonly timeoutMs: number;
}

/** Creates the reader of Galaxy, and the slots of its budget in the database. @param em forked for every use. */
export async function createGalaxy(
  em: SqlEntityManager,
  { access, requestsPerMinute, cacheMs, staleMs }: GalaxySettings,
  { fetch, timeoutMs, ...deps }: GalaxyDeps,
): Promise<GalaxyReader> {
  await ensureGalaxySlots(em.fork(), requestsPerMinute);
  return new GalaxyReader({
    ...deps,
    request: access ? createGalaxyClient({ ...access, timeoutMs, fetch }) : notConfigured,
    acquireSlot: (lowPriority) => acquireGalaxySlot(em.fork(), requestsPerMinute, lowPriority),
    random: Math.random,
    cacheMs,
    staleMs,
  });
}

const notConfigured: RequestGalaxy = async () => {
  throw new ProviderMisconfiguredError({ cause: new Error('GALAXY_URL and GALAXY_API_KEY are not set') });
};
