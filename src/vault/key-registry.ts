import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import { checkValueOf } from './data-key.js';
import type { KeyRing } from './key-ring.js';
import {
  findLiveServers,
  type LiveServer,
  SERVER_GONE_AFTER_SECONDS,
} from './server-heartbeat.repository.js';
import { findTokenKeys, insertTokenKey, isKnownKey, isNeeded } from './token-key.repository.js';

/**
 * What keeps a ring from being used on a database: empty when nothing does. Changes nothing, and takes the same time
 * however many accounts there are.
 *
 * Each problem is a sentence that names a key by its `kid` and says what to do.
 */
export async function findRingProblems(em: SqlEntityManager, ring: KeyRing): Promise<string[]> {
  const problems: string[] = [];
  for (const { kid, checkValue, retired, givenUp } of await findTokenKeys(em.fork())) {
    const key = ring.key(kid);
    if (key && checkValueOf(key) !== checkValue) {
      problems.push(
        `TOKEN_KEYS has the key "${kid}" with other bytes than the ones that were used with this database. Take the key that the other servers have, or another kid for a new one.`,
      );
    } else if (!key && !givenUp && (await isNeeded(em.fork(), kid))) {
      problems.push(
        `Stored tokens need the key "${kid}", which TOKEN_KEYS lacks. Put it back; if it is lost, see "keys give-up".`,
      );
    } else if (kid === ring.currentKid && (retired || givenUp)) {
      problems.push(
        `The key "${kid}" was ${givenUp ? 'given up' : 'retired'} and seals nothing any more. Put another one first in TOKEN_KEYS.`,
      );
    }
  }
  return problems;
}

/** The servers that run without a key. What it seals would not open there. */
export async function findServersWithout(em: SqlEntityManager, kid: string): Promise<LiveServer[]> {
  return (await findLiveServers(em.fork())).filter(({ kids }) => !kids.includes(kid));
}

/**
 * Throws `StartupError`, naming them, when servers run without a key. One that ended without stopping counts for
 * `SERVER_GONE_AFTER_SECONDS`.
 */
export async function refuseServersWithout(em: SqlEntityManager, kid: string): Promise<void> {
  const servers = await findServersWithout(em, kid);
  if (servers.length === 0) return;
  throw new StartupError(
    `Servers that run lack the key "${kid}": ${nameServers(servers)}. What it seals would not open there: ` +
      'add it to the ring of every server before it comes first. ' +
      `A server that ended without stopping counts as running for ${SERVER_GONE_AFTER_SECONDS} s.`,
  );
}

/**
 * Makes a ring known to the database. Throws `StartupError` for what `findRingProblems` finds; of two servers that bring
 * the same new `kid` with different bytes at once, for one of them.
 */
export async function registerRing(em: SqlEntityManager, ring: KeyRing): Promise<void> {
  await refuseProblems(em, ring);
  for (const [kid, key] of ring.entries) await insertTokenKey(em.fork(), kid, checkValueOf(key));
  await refuseProblems(em, ring);
}

/** Whether the ring has a key with the very bytes that the database knows under its `kid`. */
export async function isRegistered(em: SqlEntityManager, ring: KeyRing, kid: string): Promise<boolean> {
  const key = ring.key(kid);
  return key !== undefined && (await isKnownKey(em, kid, checkValueOf(key)));
}

/** The servers as a sentence names them. */
export function nameServers(servers: readonly LiveServer[]): string {
  return servers.map(({ server, seenSecondsAgo }) => `${server} (seen ${seenSecondsAgo} s ago)`).join(', ');
}

async function refuseProblems(em: SqlEntityManager, ring: KeyRing): Promise<void> {
  const problems = await findRingProblems(em, ring);
  if (problems.length > 0) throw new StartupError(problems.join('\n'));
}
