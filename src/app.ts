import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { logLinkChange, logLinkFailure, logLiveFailure, logRefresh, withCallerInLog } from './log-events.js';
import type { CompleteConfig } from './config.js';
import { AccountLinking } from './accounts/account-linking.js';
import { acquireGalaxySlot, ensureGalaxySlots } from './galaxy/galaxy-budget.repository.js';
import { GalaxyReader } from './galaxy/galaxy-reader.js';
import { UserinfoReader } from './accounts/userinfo-reader.js';
import { createUserLookup } from './accounts/user-lookup.js';
import { type Database, openDatabase } from './database/orm.js';
import { isDatabaseOutage } from './database/outage.js';
import { ProviderMisconfiguredError } from './errors.js';
import { fieldsByScope } from './graphql/access.js';
import { startApollo } from './graphql/apollo.js';
import { createScopeDescriptions } from './graphql/scope-descriptions.js';
import { createSchema } from './graphql/schema.js';
import { readTrustedDocuments } from './graphql/trusted-documents.js';
import { createListener, type DevelopmentPage } from './http/listener.js';
import { createRateLimiter } from './http/rate-limiter.js';
import { type Log, requestScope, withoutSecretShapes } from './log.js';
import { createMetrics, type Metrics } from './metrics.js';
import { createRequestContexts } from './request-context.js';
import { type RequestGalaxy, createGalaxyClient } from './galaxy/galaxy-client.js';
import { verifyRefreshResponse } from './rollup/grant.js';
import { createIssuer, type Issuer } from './rollup/issuer.js';
import type { Fetch } from './provider-call.js';
import { createRollupClient, type RollupClient } from './rollup/rollup-client.js';
import type { VerifierOptions } from './rollup/token-verifier.js';
import { createAccessTokenVerifier } from './rollup/access-token-verifier.js';
import { startBackgroundRefresh } from './vault/background-refresh.js';
import { parseKeyRing } from './vault/keyring.js';
import { createTokenCipher, type TokenCipher } from './vault/token-cipher.js';
import { CircuitBreaker } from './vault/circuit-breaker.js';
import { checkKeys } from './vault/key-check.js';
import type { RefreshEvent } from './vault/refresh-event.js';
import { createTokenVault, type TokenVault } from './vault/token-vault.js';

/** The world outside the application, as parameters. */
export interface AppDependencies {
  readonly log: Log;
  readonly fetch?: Fetch;
  /** Milliseconds since the epoch, as far as the machine knows. */
  readonly now?: () => number;
  /** Milliseconds that only ever grow, whatever is done to the machine's clock: for pauses and cool-downs. */
  readonly monotonicNow?: () => number;
  /** Served in development only. */
  readonly pages?: readonly DevelopmentPage[];
  readonly openDatabase?: typeof openDatabase;
}

/** A running application. */
export interface App {
  readonly url: string;
  /** Stops taking requests, lets running ones and running refreshes finish, closes the database. */
  close(): Promise<void>;
}

/**
 * Puts the application together and starts it. The only place where the parts meet.
 *
 * Throws `ConfigError` for a bad key ring and `StartupError` when the database, its keys or the provider's
 * identity are not as the settings say. A provider that is merely down keeps nothing from starting.
 */
export async function createApp(config: CompleteConfig, outside: AppDependencies): Promise<App> {
  const cipher = createTokenCipher(parseKeyRing(config.vault.keys));
  const open = outside.openDatabase ?? openDatabase;
  const database = await open(config.database, (sql) => outside.log.trace({ sql }, 'statement'));
  try {
    return await startOn(database, cipher, config, outside);
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function startOn(
  database: Database,
  cipher: TokenCipher,
  config: CompleteConfig,
  { log, fetch = globalThis.fetch, now = Date.now, monotonicNow = monotonic, pages = [] }: AppDependencies,
): Promise<App> {
  const migrated = await database.migrate();
  if (migrated.length > 0) log.info({ migrations: migrated }, 'migrated');
  const { issuer, client, verifier } = createProvider(config, fetch, { now, monotonicNow });
  const metrics = createMetrics();
  const vault = createVault(database, cipher, config, { client, verifier, monotonicNow }, (event) => {
    logRefresh(log, event);
    metrics.countRefresh(event);
  });
  metrics.watch(vault);
  await checkKeys(database.em, cipher);
  await ensureGalaxySlots(database.em.fork(), config.galaxy.requestsPerMinute);
  await warmUpKeys(issuer, log);
  const linking = new AccountLinking({
    em: database.em,
    client,
    verifier,
    vault,
    cipher,
    redirectUris: config.rollup.redirectUris,
    allowedScopes: config.provider.allowedScopes,
    linkTtlSeconds: config.linkTtlSeconds,
    onFailure: (error) => logLinkFailure(log, error),
    onRevokeFailure: (accountId, error) => logLiveFailure(log, 'revocation', accountId, error),
    onChange: (change, account) => logLinkChange(log, change, account),
  });
  const rateLimiter = createRateLimiter(config.rateLimits, (err) =>
    log.warn({ err }, 'rate limits: Redis is away'),
  );
  const { trustedDocuments } = config.graphql;
  const schema = await createSchema();
  const apollo = await startApollo({
    schema,
    introspection: config.http.introspection,
    production: config.production,
    logger: log,
    isOutage: isDatabaseOutage,
    limits: config.graphql,
    limitMutations: ({ viewer, address }, mutations) =>
      rateLimiter.consume({ address, subject: viewer()?.sub }, mutations),
    withoutSecrets: withoutSecretShapes,
    report: (error, correlationId) => log.error({ err: error, correlationId }, 'internal error'),
  });
  const { listener, draining } = await createListener({
    ...config.http,
    maxDocumentCharacters: config.graphql.characters,
    log,
    apollo,
    pages,
    isOutage: isDatabaseOutage,
    runInScope: (scope, run) => requestScope.run(scope, run),
    findDocument: trustedDocuments === undefined ? undefined : readTrustedDocuments(trustedDocuments),
    verifyAccessToken: withCallerInLog(createAccessTokenVerifier(verifier)),
    createContext: createRequestContexts({
      em: database.em,
      vault,
      linking,
      describeScopes: createScopeDescriptions(fieldsByScope(schema)),
      lookUpUser: createUserLookup(database.em, config.rollup.issuer),
      galaxy: createGalaxyReader(database, vault, config, { fetch, now, log, metrics }),
      userinfo: new UserinfoReader({
        client,
        vault,
        onFailure: (accountId, error) => logLiveFailure(log, 'userinfo', accountId, error),
      }),
    }),
    isReady: async () => (await database.isReady()) && (await hasKeys(issuer)),
    renderMetrics: () => metrics.render(),
  });
  const stopBackground = startBackground(config, database, vault, log);
  await listener.listen({ host: config.http.host, port: config.http.port });
  return {
    url: listener.listeningOrigin,
    close: async () => {
      await draining.drain(config.http.shutdownDelayMs, config.http.shutdownGraceMs);
      await listener.close();
      await apollo.stop();
      await stopBackground();
      await vault.drain();
      await rateLimiter.close();
      await database.close();
    },
  };
}

const monotonic = (): number => performance.now();

type Clocks = Required<Pick<AppDependencies, 'now' | 'monotonicNow'>>;

/** What a refresh at Rollup ID is made of. */
interface RefreshParts extends Pick<Clocks, 'monotonicNow'> {
  readonly client: RollupClient;
  readonly verifier: VerifierOptions;
}

function createProvider(
  { rollup, provider }: CompleteConfig,
  fetch: Fetch,
  { now, monotonicNow }: Clocks,
): { issuer: Issuer; client: RollupClient; verifier: VerifierOptions } {
  const { timeoutMs, nonceRequired } = provider;
  const lifetimes = {
    maxAgeMs: provider.jwksMaxAgeSeconds * 1_000,
    cooldownMs: provider.jwksCooldownSeconds * 1_000,
    staleMs: provider.jwksStaleSeconds * 1_000,
  };
  const issuer = createIssuer({ issuer: rollup.issuer, timeoutMs, lifetimes, fetch, now: monotonicNow });
  const { clientId, clientSecret } = rollup;
  const client = createRollupClient({ issuer, clientId, clientSecret, timeoutMs, fetch });
  return { issuer, client, verifier: { issuer, clientId, now, nonceRequired } };
}

/** The vault does not know Rollup ID: it is handed the functions that refresh and revoke. */
function createVault(
  database: Database,
  cipher: TokenCipher,
  { vault, provider }: CompleteConfig,
  { client, verifier, monotonicNow }: RefreshParts,
  onEvent: (event: RefreshEvent) => void,
): TokenVault {
  const { maxInFlight, trialEveryMs } = provider;
  return createTokenVault(database.em, {
    cipher,
    refreshTokens: async ({ accessToken, refreshToken }) =>
      verifyRefreshResponse(await client.refresh(refreshToken), accessToken, verifier),
    revoke: (refreshToken) => client.revoke(refreshToken),
    breaker: new CircuitBreaker({
      maxConcurrentCalls: maxInFlight,
      probeIntervalMs: trialEveryMs,
      now: monotonicNow,
    }),
    now: verifier.now,
    sleep: (ms, signal) => pause(ms, undefined, { signal, ref: false }),
    random: Math.random,
    newId: randomUUID,
    onEvent,
    rotation: vault.rotation,
    marginMs: vault.accessTokenMarginSeconds * 1_000,
    leaseMs: vault.refreshLeaseSeconds * 1_000,
    waitMs: vault.refreshWaitMs,
    backOffBaseMs: vault.refreshBackOffMs,
  });
}

function createGalaxyReader(
  { em }: Database,
  vault: TokenVault,
  { galaxy, provider, vault: { refreshBackOffMs } }: CompleteConfig,
  { fetch, now, log, metrics }: { fetch: Fetch; now: () => number; log: Log; metrics: Metrics },
): GalaxyReader {
  const { access, requestsPerMinute, cacheSeconds, staleSeconds } = galaxy;
  if (!access) log.warn('GALAXY_URL and GALAXY_API_KEY are not set: what Galaxy knows cannot be answered');
  const request = access && createGalaxyClient({ ...access, timeoutMs: provider.timeoutMs, fetch });
  return new GalaxyReader({
    request: request ?? withoutGalaxy,
    accessToken: async (accountId) => (await vault.accessToken(accountId)).accessToken,
    acquireSlot: (lowPriority) => acquireGalaxySlot(em.fork(), requestsPerMinute, lowPriority),
    now,
    random: Math.random,
    cacheMs: cacheSeconds * 1_000,
    staleMs: staleSeconds * 1_000,
    backOffBaseMs: refreshBackOffMs,
    onOutcome: (outcome, accountId, error) => {
      metrics.countGalaxy(outcome);
      if (error !== undefined) logLiveFailure(log, 'galaxy', accountId, error);
    },
  });
}

const withoutGalaxy: RequestGalaxy = async () => {
  throw new ProviderMisconfiguredError({ cause: new Error('GALAXY_URL and GALAXY_API_KEY are not set') });
};

/** Bearers cannot be verified before the first keys came; asking here also fetches them. */
async function hasKeys(issuer: Issuer): Promise<boolean> {
  return issuer.keys().then(
    () => true,
    () => false,
  );
}

function startBackground(
  { vault: { refreshAheadSeconds: aheadSeconds } }: CompleteConfig,
  { em }: Database,
  vault: TokenVault,
  log: Log,
): () => Promise<void> {
  if (aheadSeconds === 0) return async () => undefined;
  const onError = (err: unknown): void => log.warn({ err }, 'background refresh');
  return startBackgroundRefresh({ em, vault, aheadSeconds, onError });
}

/** Finds out early when the settings name a wrong issuer; an issuer that cannot be reached may come back. */
async function warmUpKeys(issuer: Issuer, log: Log): Promise<void> {
  try {
    await issuer.keys();
  } catch (error) {
    if (error instanceof ProviderMisconfiguredError) throw error;
    log.warn({ err: error }, 'the issuer does not answer yet');
  }
}
