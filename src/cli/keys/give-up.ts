import { setTimeout as delay } from 'node:timers/promises';
import { createInterface } from 'node:readline/promises';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { loadKeysConfig } from '../../config.js';
import { StartupError } from '../../errors.js';
import type { Environment } from '../../settings-reader.js';
import { giveUpKey } from '../../vault/lost-key.js';
import { isRegistered, refuseServersThat } from '../../vault/key-registry.js';
import { parseKeyRing } from '../../vault/key-ring.js';
import { countAccounts } from '../../vault/token-key.repository.js';
import { findKey, withDatabase } from './with-database.js';

/**
 * Gives a lost key up. Throws `StartupError` when a server that runs or `TOKEN_KEYS` holds it, when it was not confirmed,
 * and when rows were locked.
 *
 * May be ended at any moment and run again.
 */
export async function giveUpCommand(
  env: Environment,
  kid: string,
  { yes = false }: { yes?: boolean },
): Promise<void> {
  const { database, keys } = loadKeysConfig(env, false);
  const { ended, left } = await withDatabase(database, async (em) => {
    await findKey(em, kid);
    await refuseHeld(em, kid);
    if (keys !== undefined && (await isRegistered(em.fork(), parseKeyRing(keys), kid))) {
      throw new StartupError(`The key "${kid}" is not lost: TOKEN_KEYS has it.`);
    }
    if (!yes) {
      await confirm(kid, await countAccounts(em.fork(), kid));
      // The answer may have taken long.
      await refuseHeld(em, kid);
    }
    return giveUpKey(em, kid, (ms) => delay(ms));
  });
  process.stdout.write(`gave up the key "${kid}": ${ended} accounts have to be linked again\n`);
  if (left > 0) throw new StartupError(`${left} accounts are locked by other transactions. Run it again.`);
}

function refuseHeld(em: SqlEntityManager, kid: string): Promise<void> {
  return refuseServersThat(
    em,
    ({ kids }) => kids.includes(kid),
    (names) =>
      `The key "${kid}" is not lost: servers that run hold it: ${names}. To stop using it, run "keys rotate".`,
  );
}

async function confirm(kid: string, accounts: number): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new StartupError(`This ends ${accounts} accounts. Run it on a terminal, or with --yes.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const question = `This ends ${accounts} accounts: their users have to link again. Type ${kid} to go on: `;
  // Rejects for Ctrl-C and Ctrl-D.
  const answer = await terminal.question(question).catch(() => '\n');
  terminal.close();
  if (answer === '\n') process.stderr.write(answer);
  if (answer.trim() !== kid) throw new StartupError('Nothing was changed.');
}
