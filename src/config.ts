import {
  type GalaxyAccess,
  readAllowedScopes,
  readGalaxy,
  readRollup,
  type RollupConfig,
} from './provider-settings.js';
import { type Environment, SettingsReader } from './settings-reader.js';

/** Every setting, read once and frozen. Durations carry their unit in the name. */
export interface Config {
  readonly production: boolean;
  readonly logLevel: string;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly corsOrigins: readonly string[];
    readonly introspection: boolean;
    readonly bodyLimitBytes: number;
    readonly maxHeaderBytes: number;
    readonly headersTimeoutMs: number;
    readonly requestTimeoutMs: number;
    readonly responseTimeoutMs: number;
    readonly operationTimeoutMs: number;
    readonly maxConcurrentRequests: number;
    /** Addresses and CIDR blocks whose `X-Forwarded-*` headers are believed. */
    readonly trustProxy: readonly string[];
    readonly metricsFrom: readonly string[];
    readonly shutdownGraceMs: number;
    readonly shutdownDelayMs: number;
  };
  /** `url` absent: an embedded PGlite in `dataDir`. */
  readonly database: {
    readonly url?: string | undefined;
    readonly dataDir: string;
    readonly poolMax: number;
    readonly timeoutMs: number;
  };
  /** Absent: the embedded Rollup ID, never in production. */
  readonly rollup?: RollupConfig | undefined;
  readonly rollupDevPort: number;
  readonly provider: {
    readonly timeoutMs: number;
    readonly maxInFlight: number;
    readonly trialEveryMs: number;
    readonly allowedScopes: readonly string[];
    readonly nonceRequired: boolean;
    readonly jwksMaxAgeSeconds: number;
    readonly jwksCooldownSeconds: number;
    readonly jwksStaleSeconds: number;
  };
  readonly galaxy: {
    /** Absent: the embedded one beside an embedded Rollup ID, otherwise none; never in production. */
    readonly access?: GalaxyAccess | undefined;
    /** Of all processes together. */
    readonly requestsPerMinute: number;
    readonly cacheSeconds: number;
    readonly staleSeconds: number;
  };
  readonly vault: {
    /** `TOKEN_KEYS`; absent: generated in `dataDir`, never in production. */
    readonly keys?: string | undefined;
    readonly accessTokenMarginSeconds: number;
    readonly refreshLeaseSeconds: number;
    /** 0: nothing is refreshed before somebody asks. */
    readonly refreshAheadSeconds: number;
    readonly refreshWaitMs: number;
    readonly refreshBackOffMs: number;
    readonly rotation: 'auto' | 'always' | 'never';
  };
  readonly linkTtlSeconds: number;
  readonly graphql: {
    readonly depth: number;
    readonly aliases: number;
    readonly directives: number;
    readonly cost: number;
    readonly tokens: number;
    readonly characters: number;
    /** Path of a manifest; only its documents run. */
    readonly trustedDocuments?: string | undefined;
  };
  readonly rateLimits: {
    readonly subjectPerMinute: number;
    readonly addressPerMinute: number;
    readonly redisUrl: string | undefined;
  };
}

/** A `Config` with nothing left to the embedded defaults: what the application runs on. */
export type CompleteConfig = Config & {
  readonly rollup: RollupConfig;
  readonly vault: Config['vault'] & { readonly keys: string };
};

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
const DAY_SECONDS = 86_400;

/** The settings of the database alone, for commands that need nothing else. Throws `ConfigError`. */
export function loadDatabaseConfig(env: Environment): Config['database'] {
  const read = new SettingsReader(env);
  const database = readDatabase(read);
  read.finish();
  return deepFreeze(database);
}

/** The settings of a key rotation: the database and its key ring. Throws `ConfigError`; `findKeyProblems` as below. */
export function loadRotationConfig(
  env: Environment,
  findKeyProblems: (setting: string) => readonly string[],
): { readonly database: Config['database']; readonly keys: string } {
  const read = new SettingsReader(env);
  const database = readDatabase(read);
  const keys = read.required('TOKEN_KEYS', true) ?? '';
  for (const problem of keys === '' ? [] : findKeyProblems(keys)) read.problem(problem);
  read.finish();
  return deepFreeze({ database, keys });
}

/**
 * Reads every setting, or throws one `ConfigError` that lists every problem.
 *
 * An empty variable counts as absent. `NODE_ENV=production` refuses embedded parts and generated secrets.
 *
 * @param findKeyProblems says what is wrong with `TOKEN_KEYS`; the vault knows, settings do not.
 */
export function loadConfig(
  env: Environment,
  findKeyProblems: (setting: string) => readonly string[],
): Config {
  const read = new SettingsReader(env);
  const production = read.production;
  if (production && env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    read.problem('NODE_TLS_REJECT_UNAUTHORIZED must not be 0 in production');
  }
  const keys = production ? read.required('TOKEN_KEYS', true) : read.secret('TOKEN_KEYS');
  for (const problem of keys === undefined ? [] : findKeyProblems(keys)) read.problem(problem);
  const timeoutMs = read.integer('ROLLUP_TIMEOUT_MS', 5_000, 1, 60_000);
  const refreshLeaseSeconds = read.integer('REFRESH_LEASE_SECONDS', 15, 1, 3_600);
  if (refreshLeaseSeconds * 1_000 <= timeoutMs) {
    read.problem('REFRESH_LEASE_SECONDS must be longer than ROLLUP_TIMEOUT_MS');
  }
  const config: Config = {
    production,
    logLevel: read.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    http: {
      host: read.optional('HOST') ?? '127.0.0.1',
      port: read.integer('PORT', 4000, 0, 65_535),
      corsOrigins: read.list('CORS_ORIGINS').filter((origin) => read.isOrigin('CORS_ORIGINS', origin)),
      introspection: read.boolean('INTROSPECTION', !production),
      maxHeaderBytes: read.integer('HTTP_MAX_HEADER_BYTES', 16_384, 1_024, 1_000_000),
      headersTimeoutMs: read.integer('HTTP_HEADERS_TIMEOUT_MS', 10_000, 100, 600_000),
      requestTimeoutMs: read.integer('HTTP_REQUEST_TIMEOUT_MS', 20_000, 100, 600_000),
      responseTimeoutMs: read.integer('HTTP_RESPONSE_TIMEOUT_MS', 30_000, 100, 600_000),
      operationTimeoutMs: read.integer('OPERATION_TIMEOUT_MS', 20_000, 1, 600_000),
      maxConcurrentRequests: read.integer('MAX_CONCURRENT_REQUESTS', 1_000, 1, 100_000),
      trustProxy: read.addresses('TRUST_PROXY', []),
      metricsFrom: read.addresses('METRICS_FROM', ['127.0.0.1', '::1']),
      bodyLimitBytes: read.integer('BODY_LIMIT_BYTES', 100_000, 1_000, 10_000_000),
      shutdownGraceMs: read.integer('SHUTDOWN_GRACE_MS', 10_000, 0, 600_000),
      shutdownDelayMs: read.integer('SHUTDOWN_DELAY_MS', 500, 0, 600_000),
    },
    database: readDatabase(read),
    rollup: readRollup(read),
    rollupDevPort: read.integer('ROLLUP_DEV_PORT', 4001, 0, 65_535),
    provider: {
      timeoutMs,
      maxInFlight: read.integer('ROLLUP_MAX_IN_FLIGHT', 50, 1, 10_000),
      trialEveryMs: read.integer('ROLLUP_TRIAL_MS', 30_000, 1, 3_600_000),
      allowedScopes: readAllowedScopes(read),
      nonceRequired: read.oneOf('ROLLUP_NONCE', 'ignored', ['ignored', 'required']) === 'required',
      jwksMaxAgeSeconds: read.integer('JWKS_MAX_AGE_SECONDS', 600, 1, DAY_SECONDS),
      jwksCooldownSeconds: read.integer('JWKS_COOLDOWN_SECONDS', 30, 0, 3_600),
      jwksStaleSeconds: read.integer('JWKS_STALE_SECONDS', DAY_SECONDS, 0, 30 * DAY_SECONDS),
    },
    galaxy: {
      access: readGalaxy(read),
      requestsPerMinute: read.integer('GALAXY_REQUESTS_PER_MINUTE', 10, 1, 10_000),
      cacheSeconds: read.integer('GALAXY_CACHE_SECONDS', 60, 0, 3_600),
      staleSeconds: read.integer('GALAXY_STALE_SECONDS', 3_600, 0, DAY_SECONDS),
    },
    vault: {
      keys,
      accessTokenMarginSeconds: read.integer('ACCESS_TOKEN_MARGIN_SECONDS', 60, 0, 1_800),
      refreshLeaseSeconds,
      refreshAheadSeconds: read.integer('REFRESH_AHEAD_SECONDS', 0, 0, 1_800),
      refreshWaitMs: read.integer('REFRESH_WAIT_MS', timeoutMs + 2_000, 1, 120_000),
      refreshBackOffMs: read.integer('REFRESH_BACKOFF_MS', 5_000, 1, 300_000),
      rotation: read.oneOf('REFRESH_TOKEN_ROTATION', 'auto', ['auto', 'always', 'never']),
    },
    linkTtlSeconds: read.integer('LINK_TTL_SECONDS', 600, 1, DAY_SECONDS),
    graphql: {
      depth: read.integer('GRAPHQL_MAX_DEPTH', 8, 1, 1_000),
      aliases: read.integer('GRAPHQL_MAX_ALIASES', 15, 0, 10_000),
      directives: read.integer('GRAPHQL_MAX_DIRECTIVES', 50, 0, 10_000),
      cost: read.integer('GRAPHQL_MAX_COST', 500, 1, 1_000_000),
      tokens: read.integer('GRAPHQL_MAX_TOKENS', 1_000, 1, 100_000),
      characters: read.integer('GRAPHQL_MAX_CHARACTERS', 15_000, 1, 1_000_000),
      trustedDocuments: read.optional('TRUSTED_DOCUMENTS'),
    },
    rateLimits: {
      subjectPerMinute: read.integer('RATE_LIMIT_SUBJECT', 600, 1, 1_000_000),
      addressPerMinute: read.integer('RATE_LIMIT_ADDRESS', 6_000, 1, 10_000_000),
      redisUrl: read.url('REDIS_URL', ['redis', 'rediss']),
    },
  };
  read.finish();
  return deepFreeze(config);
}

function readDatabase(read: SettingsReader): Config['database'] {
  return {
    url: read.url('DATABASE_URL', ['postgresql', 'postgres'], read.production),
    dataDir: read.optional('DATA_DIR') ?? '.data',
    // Two at least: a migration holds its lock on one connection and works on another.
    poolMax: read.integer('DATABASE_POOL_MAX', 10, 2, 1_000),
    timeoutMs: read.integer('DATABASE_TIMEOUT_MS', 4_000, 100, 60_000),
  };
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  }
  return Object.freeze(value);
}
