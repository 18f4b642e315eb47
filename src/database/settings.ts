import type { SettingsReader } from '../settings-reader.js';
import { findUrlProblems } from './connection-options.js';
import { findSecrets } from './database-url.js';

/** Where the data lives: the URL of a server, or a directory for the embedded database. */
export interface DatabaseSettings {
  readonly url?: string | undefined;
  readonly dataDir: string;
  /** The caller has claimed the data directory already. */
  readonly isDataDirClaimed?: boolean;
  readonly poolMax: number;
  /** Milliseconds to get a connection, for one statement, and for the turn of a transaction. */
  readonly timeoutMs: number;
  /** For one statement, where a command takes its time; 0 for no limit. */
  readonly statementTimeoutMs?: number;
}

export function readDatabaseSettings(read: SettingsReader): DatabaseSettings {
  return {
    url: readUrl(read),
    dataDir: read.text('DATA_DIR', '.data'),
    poolMax: read.integer('DATABASE_POOL_MAX', 10, 1, 1_000),
    timeoutMs: read.integer('DATABASE_TIMEOUT_MS', 4_000, 100, 60_000),
  };
}

/** The passwords in these settings, as they are and as they are written. */
export function databaseSecrets({ url }: Pick<DatabaseSettings, 'url'>): readonly string[] {
  return url === undefined ? [] : findSecrets(url);
}

function readUrl(read: SettingsReader): string | undefined {
  const url = read.production ? read.required('DATABASE_URL', true) : read.secret('DATABASE_URL');
  if (url !== undefined) findUrlProblems(url).forEach((problem) => read.problem(problem));
  return url;
}
