import { findRingProblems, findServerProblems } from '../../vault/key-registry.js';
import { parseKeyRing } from '../../vault/key-ring.js';
import { failed, type Finding, ok, skipped } from './check.js';
import type { Inspection } from './inspection.js';

/** `TOKEN_KEYS` against the keys that the database knows, and those of the servers that run on it. */
export async function checkTokenKeys({
  em,
  keys,
  migrations,
}: Pick<Inspection, 'em' | 'keys' | 'migrations'>): Promise<Finding> {
  if (keys === undefined) return skipped('The server generates them in DATA_DIR.');
  const { pending } = await migrations();
  if (pending.length > 0) return skipped('Needs migrations that are not applied yet.');
  const database = await em();
  const ring = parseKeyRing(keys);
  const problems = await findRingProblems(database, ring);
  if (problems.length > 0) return failed(problems.join(' '), 'No server starts like this.');
  const servers = await findServerProblems(database, ring);
  if (servers.length === 0) return ok(`"${ring.currentKid}" seals, and no key is missing.`);
  return failed(servers.join(' '), 'No server starts like this while they run.');
}
