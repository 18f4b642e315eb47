import { Writable } from 'node:stream';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { createApp } from '../../src/app.js';
import { type CompleteConfig, loadConfig } from '../../src/config.js';
import { type Database, openDatabase } from '../../src/database/orm.js';
import { createLog } from '../../src/log.js';
import { findKeyProblems } from '../../src/vault/keyring.js';
import { type Ask, createGraphqlClient } from './graphql-client.js';
import { type Run, runProgram } from './processes.js';

/** One server: a process of its own on PostgreSQL, a part of this process on the embedded database. */
export interface Server {
  readonly url: string;
  readonly ask: Ask;
  /** What it logged so far. */
  output(): string;
  /** Ends it by a signal, SIGTERM by default; resolves with the exit code, or with the signal's name. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
  /** Absent on the embedded database. */
  readonly run?: Run;
}

const START_LIMIT_MS = 25_000;

/** Starts the program and waits until it is ready, which it logs at the level `info`. */
export async function startProcess(env: Readonly<Record<string, string>>): Promise<Server> {
  const run = runProgram(['serve'], env);
  const limit = setTimeout(() => run.process.kill('SIGKILL'), START_LIMIT_MS);
  await run.until('"msg":"ready"').finally(() => clearTimeout(limit));
  const url = /"url":"([^"]+)"[^\n]*"msg":"ready"/.exec(run.output())?.[1] ?? '';
  return {
    url,
    ask: createGraphqlClient(url),
    output: run.output,
    run,
    stop: async (signal = 'SIGTERM') => {
      run.process.kill(signal);
      return run.exited;
    },
  };
}

/** A database in this process that outlives the servers on it. */
export interface Embedded {
  readonly em: SqlEntityManager;
  start(env: Readonly<Record<string, string>>): Promise<Server>;
  close(): Promise<void>;
}

/** Opens an embedded database for servers in this process and for the test beside them. */
export async function openEmbedded(dataDir: string): Promise<Embedded> {
  const database = await openDatabase({ dataDir, poolMax: 2, timeoutMs: 4_000 });
  const shared: Database = { ...database, close: async () => undefined };
  return {
    em: database.em,
    close: database.close,
    start: async (env) => {
      const config = loadConfig(env, findKeyProblems) as CompleteConfig;
      let output = '';
      const sink = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          output += chunk.toString();
          done();
        },
      });
      const log = createLog(config.logLevel, [], sink);
      const app = await createApp(config, { log, openDatabase: async () => shared });
      let stopped: Promise<void> | undefined;
      return {
        url: app.url,
        ask: createGraphqlClient(app.url),
        output: () => output,
        stop: async () => {
          await (stopped ??= app.close());
          return 0;
        },
      };
    },
  };
}
