import { setTimeout as delay } from 'node:timers/promises';
import { loadIssuerMoveConfig } from '../../config.js';
import { StartupError } from '../../errors.js';
import { leanFetch } from '../../fetch.js';
import { createLog } from '../../log.js';
import { logBrokenSeal, logIssuerMove } from '../../log-events.js';
import type { Environment } from '../../settings-reader.js';
import { type IssuerMove, moveIssuer } from '../../vault/issuer-move.js';
import { parseKeyRing } from '../../vault/key-ring.js';
import { showProgress } from '../keys/progress.js';
import { withDatabase } from '../keys/with-database.js';
import { refuseNoIssuer, refuseOtherProvider } from './same-provider.js';

/**
 * Renames the issuer of accounts, and prints the result on standard output. Standard error gets a progress bar when it is
 * a terminal, and JSON lines otherwise.
 *
 * Throws `ConfigError`, what `moveIssuer` throws, and `StartupError` when the two are not one provider or an account was
 * left.
 */
export async function moveCommand(
  env: Environment,
  from: string,
  to: string,
  { force = false }: { force?: boolean },
): Promise<void> {
  if (from === to) throw new StartupError('Both names are the same.');
  const { database, keys = '', provider } = loadIssuerMoveConfig(env);
  const call = { fetch: leanFetch, timeoutMs: provider.timeoutMs };
  if (force) {
    await refuseNoIssuer(to, call);
    process.stderr.write('The keys of the two names were not compared.\n');
  } else {
    await refuseOtherProvider(from, to, call);
  }
  const log = createLog('info', [keys], process.stderr);
  const now = (): number => performance.now();
  const progress = showProgress(process.stderr, now, doneOf, (move: IssuerMove) =>
    logIssuerMove(log, 'issuer_moving', move),
  );
  const move = await withDatabase(database, (em) =>
    moveIssuer({
      em,
      ring: parseKeyRing(keys),
      from,
      to,
      force,
      sleep: (ms) => delay(ms),
      onProgress: progress.show,
      onBroken: (accountId, error) => logBrokenSeal(log, accountId, error),
    }).finally(progress.end),
  );
  if (!process.stderr.isTTY) logIssuerMove(log, 'issuer_moved', move);
  process.stdout.write(`moved ${move.moved} accounts from ${from} to ${to}\n`);
  refuseIncomplete(move, from);
}

function doneOf({ moved, left }: IssuerMove) {
  return { done: moved, left };
}

function refuseIncomplete({ broken, left }: IssuerMove, from: string): void {
  if (broken > 0) {
    throw new StartupError(`${broken} accounts of ${from} have tokens that do not open; see the log.`);
  }
  if (left > 0) {
    throw new StartupError(
      `${left} accounts are still of ${from}: their rows are locked, or were linked under the new name meanwhile. Run it again.`,
    );
  }
}
