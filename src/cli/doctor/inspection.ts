import type { openForInspection } from '../../database/inspection.js';
import type { readMigrations } from '../../database/migrate.js';
import type { findPooler, ServerFacts } from '../../database/server-facts.js';
import type { DatabaseSettings } from '../../database/settings.js';

/** A database that was opened to be looked at. */
export type Opened = Awaited<ReturnType<typeof openForInspection>>;

/** What the checks of a database share. */
export interface Inspection {
  readonly settings: DatabaseSettings;
  /** `TOKEN_KEYS`; absent when the server generates them. */
  readonly keys: string | undefined;
  /** Milliseconds since the epoch, by the clock of this machine. */
  readonly now: () => number;
  readonly em: () => Promise<Opened['em']>;
  readonly facts: () => Promise<ServerFacts>;
  readonly migrations: () => ReturnType<typeof readMigrations>;
  /** Never asked for the embedded database. */
  readonly pooler: () => ReturnType<typeof findPooler>;
}
