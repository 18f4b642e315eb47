import { setTimeout as delay } from 'node:timers/promises';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import { CERTIFICATE_FAULT, faultsOf, isDatabaseOutage, isGivenUp } from './outage.js';
import { readServerFacts, type ServerFacts } from './server-facts.js';

/** Receives, once, why nothing happens yet. */
export type OnWait = (reason: string) => void;

/** A database that starts beside the server is not always there first. */
const CONNECT_TRIES = 10;
const CONNECT_DELAY_MS = 500;
/** A pooler whose connections are all taken, by a migration for instance, responds later. */
const PATIENCE_MS = 5 * 60_000;

/** What does not get better by trying again, by code and message, as sentences that name the setting. */
const FINAL: readonly (readonly [RegExp, string])[] = [
  [
    /^3D000|no such database|database ".*" does not exist/m,
    'DATABASE_URL names a database that does not exist. Create it, or mend the name.',
  ],
  [/^28/m, 'The server of DATABASE_URL rejects the user or the password.'],
  [/client password must be/, 'The server of DATABASE_URL asks for a password, which it lacks.'],
  [/^42501/m, 'The role of DATABASE_URL may not connect to the database.'],
  [
    new RegExp(CERTIFICATE_FAULT, 'm'),
    'The certificate of the server of DATABASE_URL does not verify: see sslmode and sslrootcert.',
  ],
  [/does not support SSL/, 'The server of DATABASE_URL has no TLS, which sslmode asks for.'],
  [/unsupported startup parameter/, 'The pooler of DATABASE_URL takes no "options" and no "schema".'],
];

/**
 * Waits until the database responds, and checks that it is one for this program. Throws `StartupError` when it does not
 * within some seconds, when DATABASE_URL is wrong, or when the database is none to work with.
 */
export async function awaitDatabase(em: SqlEntityManager, onWait: OnWait = () => undefined): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (let tries = 1; ; tries += 1) {
    try {
      return refuse(await readServerFacts(em));
    } catch (cause) {
      if (cause instanceof StartupError) throw cause;
      const fault = faultsOf(cause);
      const final = FINAL.find(([faults]) => faults.test(fault));
      if (final) throw new StartupError(final[1], { cause });
      if (!isDatabaseOutage(cause)) throw cause;
      if (isGivenUp(cause) ? performance.now() > until : tries >= CONNECT_TRIES) {
        throw new StartupError('The database of DATABASE_URL cannot be reached.', { cause });
      }
      if (tries === 1) onWait('the database does not respond yet');
      await delay(CONNECT_DELAY_MS);
    }
  }
}

function refuse({ version, encoding, schema }: ServerFacts): void {
  if (version < 150_000) throw new StartupError('PostgreSQL 15 or later is needed.');
  if (encoding !== 'UTF8') {
    throw new StartupError(
      `The database of DATABASE_URL has the encoding ${encoding}, which cannot hold every name. Make one with encoding 'UTF8' template template0.`,
    );
  }
  if (schema === null) {
    throw new StartupError(
      'There is no place for tables: the role of DATABASE_URL may use no schema of its search_path, or "schema" names none.',
    );
  }
}
