import { createApp } from '../../src/app.js';
import { type CompleteConfig, loadConfig } from '../../src/config.js';
import { type Database, openDatabase } from '../../src/database/orm.js';
import { createLog } from '../../src/log.js';
import { type Ask, createGraphqlClient } from './graphql-client.js';
import { lineSink } from './line-sink.js';
import { readyUrl, type Run, runProgram } from './processes.js';

/** One server: a process of its own on PostgreSQL, part of this process on the embedded database. */
export interface Server {
  readonly url: string;
  readonly ask: Ask;
  /** Its log so far. */
  readonly output: () => string;
  /** Ends it by a signal, SIGTERM by default; resolves with the exit code, or with the signal's name. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | string>;
  /** Absent on the embedded database. */
  readonly run?: Run;
}

/** A process that hangs is ended before the hook that starts it times out, so that its output is shown. */
const START_LIMIT_MS = 60_000;

/** Starts the program and waits until it is ready, which it logs at the level `info`. */
export async function startProcess(env: Readonly<Record<string, string>>) {
  const run = runProgram(['serve'], env);
  const limit = setTimeout(() => run.process.kill('SIGKILL'), START_LIMIT_MS);
  const url = await readyUrl(run).finally(() => clearTimeout(limit));
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> => {
    run.process.kill(signal);
    return run.exited;
  };
  return {
    url,
    ask: createGraphqlClient(url),
    output: run.output,
    run,
    stop,
    close: async () => void (await stop()),
  };
}

/** Opens an embedded database that servers in this process share with the test, and that outlives them. */
export async function openEmbeddedDatabase(dataDir: string) {
  const database = await openDatabase({ dataDir, poolMax: 2, timeoutMs: 4_000 });
  const shared: Database = { ...database, close: async () => undefined };
  return {
    em: database.em,
    close: () => database.close(),
    start: async (env: Readonly<Record<string, string>>): Promise<Server> => {
      const config = loadConfig(env) as CompleteConfig;
      const lines: string[] = [];
      const log = createLog(config.logLevel, [], lineSink(lines));
      const app = await createApp(config, { log, openDatabase: async () => shared });
      let stopped: Promise<void> | undefined;
      return {
        url: app.url,
        ask: createGraphqlClient(app.url),
        output: () => lines.join(''),
        stop: async () => {
          await (stopped ??= app.close());
          return 0;
        },
      };
    },
  };
}
