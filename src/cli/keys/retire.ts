import type { SqlEntityManager } from '@mikro-orm/sql';
import { loadDatabaseConfig } from '../../config.js';
import { StartupError } from '../../errors.js';
import type { Environment } from '../../settings-reader.js';
import { refuseServersThat } from '../../vault/key-registry.js';
import { countAccounts, markRetired, unmarkRetired } from '../../vault/token-key.repository.js';
import { findKey, withDatabase } from './with-database.js';

/** Retires a key. Throws `StartupError` while accounts need it or a server seals with it. */
export async function retireCommand(env: Environment, kid: string): Promise<void> {
  await withDatabase(loadDatabaseConfig(env), async (em) => {
    await findKey(em, kid);
    await refuseSealing(em, kid);
    if (!(await markRetired(em.fork(), kid))) {
      const accounts = await countAccounts(em.fork(), kid);
      const needing = accounts > 0 ? `${accounts} accounts` : 'Refresh tokens that are to be revoked';
      throw new StartupError(`${needing} need the key "${kid}". Run "keys rotate" first.`);
    }
    // A server may have started with it meanwhile; one that starts from now on sees the mark.
    await refuseSealing(em, kid).catch(async (error: unknown) => {
      await unmarkRetired(em.fork(), kid);
      throw error;
    });
  });
  process.stdout.write(`retired the key "${kid}": it can be taken out of TOKEN_KEYS\n`);
}

function refuseSealing(em: SqlEntityManager, kid: string): Promise<void> {
  return refuseServersThat(
    em,
    ({ kids: [first] }) => first === kid,
    (names) => `Servers seal with the key "${kid}": ${names}. Put another one first.`,
  );
}
