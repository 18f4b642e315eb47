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

/**
 * The servers that run and do not go with a ring, as a sentence each of what to do: they lack its first key, or seal
 * with one that it lacks. What one side seals would not open at the other.
 */
export async function findServerProblems(em: SqlEntityManager, ring: KeyRing): Promise<string[]> {
  const servers = await findLiveServers(em.fork());
  const problems: string[] = [];
  const without = servers.filter(({ kids }) => !kids.includes(ring.currentKid));
  if (without.length > 0) {
    problems.push(
      `Servers that run lack the key "${ring.currentKid}": ${nameServers(without)}. What it seals would not open there: add it to the ring of every server before it comes first.`,
    );
  }
  const sealing = servers.filter(({ kids: [first = ''] }) => !ring.key(first));
  if (sealing.length > 0) {
    const kids = [...new Set(sealing.map(({ kids: [first] }) => `"${first}"`))].join(', ');
    problems.push(
      `Servers that run seal with ${kids}, which TOKEN_KEYS lacks: ${nameServers(sealing)}. What they seal would not open here: add it.`,
    );
  }
  return problems;
}

/** Throws `StartupError` for what `findRingProblems` and, without `force`, `findServerProblems` find. */
export async function refuseRing(em: SqlEntityManager, ring: KeyRing, force = false): Promise<void> {
  await refuseProblems(em, ring);
  if (!force) await refuseServers(em, ring);
}

/**
 * Throws `StartupError` for what `findServerProblems` finds. A server that ended without stopping counts for
 * `SERVER_GONE_AFTER_SECONDS`.
 */
export async function refuseServers(em: SqlEntityManager, ring: KeyRing): Promise<void> {
  const problems = await findServerProblems(em, ring);
  if (problems.length === 0) return;
  const gone = `A server that ended without stopping counts as running for ${SERVER_GONE_AFTER_SECONDS} s.`;
  throw new StartupError([...problems, gone].join('\n'));
}

/**
 * Makes a ring known to the database. Throws what `refuseRing` throws, and then the ring stays unknown; of two servers
 * that bring the same new `kid` with different bytes at once, for one of them.
 */
export async function registerRing(em: SqlEntityManager, ring: KeyRing, force = false): Promise<void> {
  await refuseRing(em, ring, force);
  for (const [kid, key] of ring.entries) await insertTokenKey(em.fork(), kid, checkValueOf(key));
  await refuseProblems(em, ring);
}

/** Whether the ring has a key with the very bytes that the database knows under its `kid`. */
export async function isRegistered(em: SqlEntityManager, ring: KeyRing, kid: string): Promise<boolean> {
  const key = ring.key(kid);
  return key !== undefined && (await isKnownKey(em, kid, checkValueOf(key)));
}

/** Throws `StartupError` when servers that run match; `explain` makes the sentence that names them. */
export async function refuseServersThat(
  em: SqlEntityManager,
  match: (server: LiveServer) => boolean,
  explain: (names: string) => string,
): Promise<void> {
  const servers = (await findLiveServers(em.fork())).filter(match);
  if (servers.length > 0) throw new StartupError(explain(nameServers(servers)));
}

/** The servers as a sentence names them. */
function nameServers(servers: readonly LiveServer[]): string {
  return servers.map(({ server, seenSecondsAgo }) => `${server} (seen ${seenSecondsAgo} s ago)`).join(', ');
}

async function refuseProblems(em: SqlEntityManager, ring: KeyRing): Promise<void> {
  const problems = await findRingProblems(em, ring);
  if (problems.length > 0) throw new StartupError(problems.join('\n'));
}
