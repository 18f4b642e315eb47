import { readAccountsSettings } from './accounts/settings.js';
import { databaseSecrets, readDatabaseSettings } from './database/settings.js';
import { readGalaxySettings } from './galaxy/settings.js';
import { readGraphqlSettings } from './graphql/settings.js';
import { readHttpSettings } from './http/settings.js';
import {
  readProviderSettings,
  readRollupClientSettings,
  type RollupClientSettings,
} from './rollup/settings.js';
import { type DeepReadonly, type Environment, SettingsReader } from './settings-reader.js';
import { readKeyRing, readVaultSettings } from './vault/settings.js';

/** Every setting, read once and frozen. Durations carry their unit in the name. */
export type Config = ReturnType<typeof loadConfig>;

/** A `Config` with nothing left to the embedded defaults: what the application runs on. */
export type CompleteConfig = Config & {
  readonly rollup: RollupClientSettings;
  readonly vault: Config['vault'] & { readonly keys: string };
};

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

/**
 * Reads the settings of all rooms, or throws one `ConfigError` that lists every problem.
 *
 * An empty variable counts as absent. `NODE_ENV=production` refuses embedded parts and generated secrets.
 */
export function loadConfig(env: Environment) {
  return load(env, (read) => {
    if (read.production && env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
      read.problem('NODE_TLS_REJECT_UNAUTHORIZED must not be 0 in production');
    }
    return readSettings(read);
  });
}

/** Reads the settings of all rooms; then `read` knows every setting and every problem. */
export function readSettings(read: SettingsReader) {
  const provider = readProviderSettings(read);
  return {
    production: read.production,
    logLevel: read.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    http: readHttpSettings(read),
    graphql: readGraphqlSettings(read),
    database: readDatabaseSettings(read),
    /** Absent: the embedded Rollup ID, never in production. */
    rollup: readRollupClientSettings(read),
    /** Where the embedded Rollup ID listens; another port may be taken when this one is not set. */
    rollupDevPort: {
      port: read.integer('ROLLUP_DEV_PORT', 4001, 0, 65_535),
      isSet: read.optional('ROLLUP_DEV_PORT') !== undefined,
    },
    provider,
    galaxy: readGalaxySettings(read),
    accounts: readAccountsSettings(read),
    vault: readVaultSettings(read, provider.timeoutMs),
  };
}

/** The settings of the database alone, for commands that need nothing else. Throws `ConfigError`. */
export function loadDatabaseConfig(env: Environment) {
  return load(env, readDatabaseSettings);
}

/** The settings of the database and of its key ring. Throws `ConfigError`, also without a ring when it is required. */
export function loadKeysConfig(env: Environment, required = true) {
  return load(env, (read) => ({ database: readDatabaseSettings(read), keys: readKeyRing(read, required) }));
}

/** The settings of the database, of its key ring and of how a provider is called. Throws `ConfigError`. */
export function loadIssuerMoveConfig(env: Environment) {
  return load(env, (read) => ({
    database: readDatabaseSettings(read),
    keys: readKeyRing(read, true),
    provider: readProviderSettings(read),
  }));
}

/** The values that nothing may print, as they are configured. An empty one stands for one that is not set. */
export function secretsOf(config: Config): readonly string[] {
  return [
    config.rollup?.clientSecret ?? '',
    config.galaxy.access?.apiKey ?? '',
    config.vault.keys ?? '',
    ...databaseSecrets(config.database),
    passwordOf(config.http.rateLimits.redisUrl),
  ];
}

function passwordOf(url: string | undefined): string {
  return (url === undefined ? null : URL.parse(url))?.password ?? '';
}

function load<T extends object>(env: Environment, readAll: (read: SettingsReader) => T): DeepReadonly<T> {
  const read = new SettingsReader(env);
  const settings = readAll(read);
  read.finish();
  return deepFreeze(settings);
}

function deepFreeze<T extends object>(value: T): DeepReadonly<T> {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  }
  return Object.freeze(value) as DeepReadonly<T>;
}
