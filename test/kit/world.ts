import type { SqlEntityManager } from '@mikro-orm/sql';
import { type App, createApp } from '../../src/app.js';
import { type CompleteConfig, loadConfig } from '../../src/config.js';
import { type Database, openDatabase } from '../../src/database/orm.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { type RollupId, startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { createLog } from '../../src/log.js';
import type { Fetch } from '../../src/fetch.js';
import { type Clock, createClock, moveClockOf } from './clock.js';
import { type Ask, createGraphqlClient } from './graphql-client.js';
import { lineSink } from './line-sink.js';
import { type LinkFlow, linkFlow } from './link-flow.js';
import { type Provider, randomKey, serverEnv } from './server-env.js';
import { sharedDatabase } from './shared-database.js';

/** The application in this process, with what a test reads of it. */
interface Recorded {
  readonly app: App;
  readonly logLines: string[];
  /** SQL statements sent to the database, with placeholders; without those of the background. */
  readonly statements: string[];
  /** Reads rows beside the application; on the embedded database it shares the application's connection. */
  readonly em: () => SqlEntityManager;
}

/** A server with its own provider and clock, on the database of the test file. */
export interface World extends Recorded, LinkFlow {
  readonly config: CompleteConfig;
  readonly rollup: RollupId;
  /** The first people of the provider: with all data, with the usual data and with none. */
  readonly people: readonly [Person, Person, Person];
  readonly clock: Clock;
  readonly ask: Ask;
  /** All rows of a table. */
  readonly rows: (table: string) => Promise<Row[]>;
  /** The log records so far. */
  readonly records: () => Row[];
  /** Waits until requests are logged, which happens after their responses; returns their records. */
  requestsLogged(count?: number, status?: number): Promise<Row[]>;
  /** Empties the database, the provider and the log. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

type Row = Record<string, unknown>;

/** Overrides of settings and dependencies. */
export interface WorldOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly fetch?: Fetch;
  readonly provider?: Provider;
  /** Milliseconds by which the server's clock is ahead of the provider's; negative when it is behind. */
  readonly aheadMs?: number;
}

/** Statements of the background. */
const BACKGROUND =
  /server_heartbeat|pg_try_advisory|^update pending_revocation|userinfo_due_at <=|clock_timestamp\(\)\) \* 1000\)::text as now/;

/** Rows are deleted in a millisecond; truncating makes new files for the tables, which takes up to seventy. */
const EMPTY = [
  'delete from rollup_account',
  'delete from app_user',
  'delete from pending_link',
  'delete from pending_revocation',
  'update galaxy_slot set taken_at = to_timestamp(0)',
];

/** Worlds on one database find each other's keys when they start. */
export const KEYS = randomKey('k1');

async function empty(em: SqlEntityManager): Promise<void> {
  for (const statement of EMPTY) await em.execute(statement);
}

/** Starts a world; on another database than that of the file when the settings name one. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { DATABASE_URL, DATA_DIR } = options.env ?? {};
  const own = (DATABASE_URL ?? DATA_DIR) !== undefined;
  const database = own ? undefined : await sharedDatabase();
  const clock = createClock(options.provider !== undefined);
  const rollup = await startRollupId({ now: clock.monotonicNow });
  const config = loadWorldConfig(options, rollup, database?.env);
  const open: typeof openDatabase = async (...args) => {
    const opened = await (database?.open ?? openDatabase)(...args);
    if (database) await empty(opened.em.fork());
    return opened;
  };
  const recorded = await startRecorded(config, clock, options, open).catch(async (error: unknown) => {
    await rollup.close();
    throw error;
  });
  const { app, em, logLines, statements } = recorded;
  const ask = createGraphqlClient(app.url);
  const records = (): Row[] => logLines.map((line) => JSON.parse(line) as Row);
  return {
    ...recorded,
    ...linkFlow(ask, config, rollup),
    config,
    rollup,
    people: rollup.people as [Person, Person, Person],
    clock,
    ask,
    rows: (table) => em().execute(`select * from ${table} order by 1`),
    records,
    requestsLogged: async (count = 1, status) => {
      for (;;) {
        const logged = records().filter(({ msg }) => msg === 'request');
        const found = logged.filter((record) => status === undefined || record['status'] === status);
        if (found.length >= count) return found;
        await new Promise(setImmediate);
      }
    },
    reset: async () => {
      await empty(em());
      rollup.reset();
      logLines.length = 0;
      statements.length = 0;
    },
    close: async () => {
      await app.close();
      await rollup.close();
    },
  };
}

function loadWorldConfig(
  options: WorldOptions,
  rollup: RollupId,
  database?: Readonly<Record<string, string>>,
): CompleteConfig {
  const env = {
    ...serverEnv(options.provider ?? rollup, rollup),
    LOG_LEVEL: 'trace',
    TOKEN_KEYS: KEYS,
    JWKS_COOLDOWN_SECONDS: '0',
    ...database,
    ...options.env,
  };
  return loadConfig(env) as CompleteConfig;
}

async function startRecorded(
  config: CompleteConfig,
  clock: Clock,
  options: WorldOptions,
  open: typeof openDatabase,
): Promise<Recorded> {
  const logLines: string[] = [];
  const statements: string[] = [];
  const opened: Database[] = [];
  const secrets = [config.rollup.clientSecret, config.vault.keys, config.galaxy.access?.apiKey ?? ''];
  const app = await createApp(config, {
    log: createLog(config.logLevel, secrets, lineSink(logLines)),
    now: () => clock.now() + (options.aheadMs ?? 0),
    monotonicNow: clock.monotonicNow,
    ...(options.fetch && { fetch: options.fetch }),
    openDatabase: async (settings, onStatement) => {
      const database = await open(settings, (sql) => {
        // They come by themselves, whatever a test does.
        if (BACKGROUND.test(sql)) return;
        statements.push(sql);
        onStatement?.(sql);
      });
      moveClockOf(database.em);
      opened.push(database);
      return database;
    },
  });
  const em = (): SqlEntityManager => {
    const [database] = opened;
    if (!database) throw new Error('no database was opened');
    return database.em.fork();
  };
  return { app, logLines, statements, em };
}
