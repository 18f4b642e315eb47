/* oxlint-disable max-lines -- the composition root: all wiring in one place */
import { hostname } from 'node:os';
import { createAccounts } from './accounts/accounts.js';
import { startReadingMissedUserinfo } from './accounts/missed-userinfo.js';
import { deleteExpiredLinks } from './accounts/pending-link.repository.js';
import { type ClockWatch, startClockWatch } from './clock-watch.js';
import type { CompleteConfig } from './config.js';
import { type Database, openDatabase } from './database/orm.js';
import { isDatabaseOutage } from './database/outage.js';
import { createGalaxy } from './galaxy/galaxy.js';
import { createGraphql } from './graphql/graphql.js';
import { createListener, type DevelopmentPage } from './http/listener.js';
import { createRateLimiter } from './http/rate-limiter.js';
import { explainListenError } from './listen-error.js';
import { type Log, logContext, redactSecrets } from './log.js';
import {
  accountEvents,
  logAccountCallFailure,
  logClock,
  logRefresh,
  logResting,
  logRevocation,
  withCallerInLog,
} from './log-events.js';
import { createMetrics, type Metrics } from './metrics.js';
import { type Fetch, leanFetch } from './fetch.js';
import { startPurging } from './purge.js';
import { createAccessTokenVerifier } from './rollup/access-token-verifier.js';
import { verifyRefreshResponse } from './rollup/grant.js';
import { createRollup, hasKeys, type Rollup, warmUpKeys } from './rollup/rollup.js';
import { CLOCK_SKEW_SECONDS } from './rollup/token-verifier.js';
import type { ClientRegistration } from './token-set.js';
import { startBackgroundRefresh } from './vault/background-refresh.js';
import { holdKeys } from './vault/key-holder.js';
import { isRegistered } from './vault/key-registry.js';
import { type KeyRing, parseKeyRing } from './vault/key-ring.js';
import { countRestingTokens } from './vault/resting-tokens.repository.js';
import { deleteGoneServers } from './vault/server-heartbeat.repository.js';
import { createTokenCipher } from './vault/token-cipher.js';
import { createTokenVault, type TokenVault } from './vault/token-vault.js';

/** What the application depends on outside itself. */
export interface AppDependencies {
  readonly log: Log;
  readonly fetch?: Fetch;
  /** Milliseconds since the epoch, by the clock of the machine. */
  readonly now?: () => number;
  /** Milliseconds that never go backwards, whatever happens to the clock of the machine: for cool-downs. */
  readonly monotonicNow?: () => number;
  /** Served in development only. */
  readonly pages?: readonly DevelopmentPage[];
  readonly openDatabase?: typeof openDatabase;
  /** Prometheus text of the process, which may run several applications. */
  readonly processMetrics?: () => Promise<string>;
}

/** A running application. */
export interface App {
  readonly url: string;
  /** Stops accepting requests, lets running ones and running refreshes finish, closes the database. */
  close(): Promise<void>;
}

/**
 * Composes the application and starts it: the only place where the rooms meet.
 *
 * Throws `ConfigError` for an invalid key ring and `StartupError` when the database, its keys or the provider's issuer
 * are not as the settings say, or the address cannot be listened on. A provider that is down does not keep it from starting.
 */
export async function createApp(config: CompleteConfig, dependencies: AppDependencies): Promise<App> {
  const ring = parseKeyRing(config.vault.keys);
  const open = dependencies.openDatabase ?? openDatabase;
  const { log } = dependencies;
  const database = await open(
    config.database,
    (sql) => log.trace({ sql }, 'statement'),
    (reason) => log.info({ reason }, 'waiting for the database'),
  );
  try {
    const { fetch = leanFetch, now = Date.now, pages = [] } = dependencies;
    const { monotonicNow = () => performance.now() } = dependencies;
    const rollup = createRollup(config.rollup, config.provider, { fetch, now, monotonicNow });
    const metrics = createMetrics(dependencies.processMetrics);
    const clocks = { now, monotonicNow };
    return await start({ config, database, ring, rollup, metrics, log, fetch, pages, ...clocks });
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Up to here, accounts that rest are counted; beyond, estimated. */
const EXACT_COUNT = 1_000;

interface Parts extends Required<Omit<AppDependencies, 'openDatabase' | 'processMetrics'>> {
  readonly config: CompleteConfig;
  readonly database: Database;
  readonly ring: KeyRing;
  readonly rollup: Rollup;
  readonly metrics: Metrics;
}

/** What the rooms get: also the watch over the clock of this process. */
interface RoomParts extends Parts {
  readonly clock: ClockWatch;
}

async function start(parts: Parts): Promise<App> {
  const { config, database, log } = parts;
  const { http } = config;
  const migrated = await database.migrate();
  if (migrated.length > 0) log.info({ migrations: migrated }, 'migrated');
  const resting = await countRestingTokens(database.em.fork(), registrationOf(config), EXACT_COUNT);
  if (resting) logResting(log, resting);
  const releaseKeys = await holdKeys({
    em: database.em,
    ring: parts.ring,
    server: `${hostname()} (pid ${process.pid})`,
    issuer: config.rollup.issuer,
    onError: (err) => log.warn({ err }, 'heartbeat'),
  });
  const clock = await watchClock(parts);
  const { domain, server } = await startRooms({ ...parts, clock }).catch(async (error: unknown) => {
    await clock.stop();
    await releaseKeys();
    throw error;
  });
  const { listener, draining, apollo, rateLimiter } = server;
  const stopBackground = startBackground(parts, domain);
  return {
    url: listener.listeningOrigin,
    close: async () => {
      await draining.drain(http.shutdownDelayMs, http.shutdownGraceMs);
      await listener.close();
      await apollo.stop();
      await stopBackground();
      await domain.vault.drain();
      await clock.stop();
      await releaseKeys();
      await rateLimiter.close();
      await database.close();
    },
  };
}

function watchClock({ database, now, log }: Parts): Promise<ClockWatch> {
  return startClockWatch({
    readClock: () => database.readClock(),
    now,
    maxSkewMs: CLOCK_SKEW_SECONDS * 1_000,
    onChange: (agrees, aheadMs) => logClock(log, agrees, aheadMs),
  });
}

/** What nobody asks for. Returns the function that stops it. */
function startBackground({ config, database: { em }, ring, log }: Parts, { vault, accounts }: Domain) {
  const stopRefreshing = startBackgroundRefresh({
    em,
    vault,
    registration: registrationOf(config),
    kids: ring.kids,
    aheadSeconds: config.vault.refreshAheadSeconds,
    onError: (err) => log.warn({ err }, 'background refresh'),
  });
  const stopRevoking = vault.revocations.start();
  const stopReadingUserinfo = startReadingMissedUserinfo({
    em,
    issuer: config.rollup.issuer,
    userinfo: accounts.userinfo,
    onError: (err) => log.warn({ err }, 'missed userinfo'),
  });
  const stopPurging = startPurging({
    em,
    purges: [deleteGoneServers, deleteExpiredLinks],
    onError: (err) => log.warn({ err }, 'purge'),
  });
  return async (): Promise<void> => {
    await stopRefreshing();
    await stopRevoking();
    await stopReadingUserinfo();
    await stopPurging();
  };
}

/** All rooms, and the listener that serves them. */
async function startRooms(parts: RoomParts) {
  const { host, port } = parts.config.http;
  const domain = await startDomain(parts);
  const server = await createServer(parts, domain);
  await server.listener.listen({ host, port }).catch((error: unknown) => {
    throw explainListenError(error, 'PORT', port);
  });
  return { domain, server };
}

/** The rooms with rules: the vault, the accounts and Galaxy. */
async function startDomain(parts: RoomParts) {
  const { config, rollup, log, metrics, fetch, now, monotonicNow, clock } = parts;
  const { em } = parts.database;
  const { issuer, client, verifier } = rollup;
  const vault = createVault(parts);
  metrics.watch(vault, clock);
  if (!config.galaxy.access) log.warn('GALAXY_URL and GALAXY_API_KEY are not set: Galaxy cannot be called');
  const galaxy = await createGalaxy(em, config.galaxy, {
    fetch,
    now,
    monotonicNow,
    timeoutMs: config.provider.timeoutMs,
    backOffBaseMs: config.vault.refresh.backOffBaseMs,
    accessToken: async (accountId) => (await vault.accessToken(accountId)).accessToken,
    onOutcome: (outcome, accountId, error) => {
      metrics.countGalaxy(outcome);
      if (error !== undefined) logAccountCallFailure(log, 'galaxy', accountId, error);
    },
  });
  await warmUpKeys(issuer, (err) => log.warn({ err }, 'the issuer is not reachable yet'));
  const { redirectUris } = config.rollup;
  const { transact, inTurn } = parts.database;
  const deps = { em, transact, inTurn, client, verifier, vault, redirectUris, ...accountEvents(log) };
  return { vault, galaxy, accounts: createAccounts(config.accounts, deps) };
}

function createVault({ config, database, ring, rollup, log, metrics, monotonicNow }: Parts): TokenVault {
  const { em } = database;
  const { client, verifier } = rollup;
  return createTokenVault(em, config.vault, {
    cipher: createTokenCipher(ring, registrationOf(config)),
    isKnownKey: (kid) => isRegistered(em.fork(), ring, kid),
    monotonicNow,
    refreshTokens: client.refresh,
    verifyTokens: (response, accessToken, receivedAtMs) =>
      verifyRefreshResponse(response, accessToken, { ...verifier, now: () => receivedAtMs }),
    revoke: client.revoke,
    canRevoke: client.canRevoke,
    onRevocation: (event) => {
      logRevocation(log, event);
      metrics.countRevocation(event);
    },
    onError: (err) => log.warn({ err }, 'revocations'),
    onEvent: (event) => {
      logRefresh(log, event);
      metrics.countRefresh(event);
    },
  });
}

type Domain = Awaited<ReturnType<typeof startDomain>>;

/** The rooms at the edge: GraphQL, HTTP and its rate limits. */
async function createServer(
  { config, database, clock, rollup, log, metrics, pages }: RoomParts,
  domain: Domain,
) {
  const rateLimiter = createRateLimiter(config.http.rateLimits, (err) =>
    log.warn({ err }, 'rate limits: Redis is unreachable'),
  );
  const graphql = await createGraphql(config.graphql, {
    ...domain,
    production: config.production,
    logger: log,
    isOutage: isDatabaseOutage,
    limitMutations: (context, mutations) =>
      rateLimiter.consume({ address: context.request.address, subject: context.viewer()?.sub }, mutations),
    redactSecrets,
    report: (error, correlationId) => log.error({ err: error, correlationId }, 'internal error'),
  });
  const server = await createListener({
    ...config.http,
    ...graphql,
    maxDocumentCharacters: config.graphql.characters,
    log,
    pages,
    isOutage: isDatabaseOutage,
    redactSecrets,
    registry: metrics.registry,
    runWithLogContext: (fields, run) => logContext.run(fields, run),
    verifyAccessToken: withCallerInLog(createAccessTokenVerifier(rollup.verifier)),
    isReady: async () =>
      (await database.isReady()) && (await clock.agrees()) && (await hasKeys(rollup.issuer)),
    renderMetrics: () => metrics.render(),
  });
  return { ...server, apollo: graphql.apollo, rateLimiter };
}

function registrationOf({ rollup: { issuer, clientId } }: CompleteConfig): ClientRegistration {
  return { issuer, clientId };
}
