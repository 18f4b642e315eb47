import { collectDefaultMetrics, Registry } from 'prom-client';
import { createApp } from './app.js';
import { type Config, loadConfig, secretsOf } from './config.js';
import { claimDataDirectory } from './database/data-directory.js';
import { ConfigError } from './errors.js';
import { createLog, type Log } from './log.js';
import type { Environment } from './settings-reader.js';

const EMBEDDED_IN_USE =
  'Another process uses DATA_DIR. What is embedded serves one process: set another DATA_DIR, or DATABASE_URL and ROLLUP_ISSUER for several.';

/**
 * Runs the server until SIGTERM or SIGINT, then lets what is running finish within the grace period and exits with 0.
 * Exits with 1 when it cannot start, when it fails, or when the grace period is over.
 */
export async function serve(env: Environment): Promise<void> {
  const embedded = await completeConfig(loadConfig(env));
  const { config, pages, rollupIdUrl } = embedded;
  const log = createLog(config.logLevel, secretsOf(config), embedded.logDestination);
  exitOnFatal(log);
  const metrics = new Registry();
  collectDefaultMetrics({ register: metrics });
  const starting = createApp(config, { log, pages, processMetrics: () => metrics.metrics() });
  // Also while it starts: the first process of a container ignores a signal that it does not handle.
  stopOnSignal(log, config.http.shutdownGraceMs, async () => {
    await (await starting).close();
    await embedded.close();
  });
  const app = await starting.catch(async (error: unknown) => {
    await embedded.close();
    throw error;
  });
  log.info({ url: app.url, ...(rollupIdUrl && { rollupId: rollupIdUrl }) }, 'ready');
  embedded.rememberProvider((text) => log.warn(text));
  if (!config.production) announce(app.url, rollupIdUrl);
}

/** In production incomplete settings are rejected; elsewhere what is missing is embedded. */
async function completeConfig(config: Config) {
  if (!config.production) return embedMissing(config);
  const { rollup, vault } = config;
  if (!rollup || vault.keys === undefined) throw new ConfigError(['production needs every setting']);
  return {
    config: { ...config, rollup, vault: { ...vault, keys: vault.keys } },
    pages: [],
    rollupIdUrl: undefined,
    logDestination: undefined,
    rememberProvider: () => undefined,
    close: async () => undefined,
  };
}

/** Embeds what is missing. `close` is for after the database is closed: then the data directory is free. */
async function embedMissing(config: Config) {
  const release = await claimForEmbedded(config);
  try {
    const { embed } = await import('./dev/embedded.js');
    const embedded = await embed({ ...config, database: { ...config.database, isDataDirClaimed: true } });
    const close = async (): Promise<void> => {
      await embedded.close();
      release();
    };
    return { ...embedded, close };
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * Claims the data directory before anything in it is read: for the embedded database, and for the embedded provider,
 * which overwrites its state. Generated keys alone are never overwritten, so servers may share them.
 */
async function claimForEmbedded({ database, rollup }: Config): Promise<() => void> {
  if (!rollup) return claimDataDirectory(database.dataDir, EMBEDDED_IN_USE);
  return database.url === undefined ? claimDataDirectory(database.dataDir) : () => undefined;
}

function announce(url: string, rollupIdUrl: string | undefined): void {
  process.stderr.write(`\n  Open ${url}/graphiql in your browser.\n`);
  if (rollupIdUrl) process.stderr.write(`  The embedded Rollup ID is at ${rollupIdUrl}\n`);
  process.stderr.write('\n');
}

function stopOnSignal(log: Log, graceMs: number, close: () => Promise<void>): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping');
    setTimeout(() => {
      log.error({ graceMs }, 'the shutdown grace period is over');
      process.exit(1);
    }, graceMs).unref();
    close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** A process in an unknown state must not go on with other people's tokens: it logs the cause and exits. */
function exitOnFatal(log: Log): void {
  const fatal = (error: unknown): void => {
    log.fatal({ err: error }, 'fatal');
    process.exit(1);
  };
  // Without a listener Node opens its inspector on SIGUSR1.
  process.on('SIGUSR1', () => log.warn('SIGUSR1 is ignored'));
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
}
