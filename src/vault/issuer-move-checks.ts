import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import { findNamesakes, type Renaming } from './issuer-move.repository.js';
import { refuseServersThat } from './key-registry.js';

/** Accounts a statement. */
const BATCH = 1_000;
const MAX_NAMED = 5;

/** Throws `StartupError` when a server runs that names the old issuer, or does not say: it would link new accounts there. */
export async function refuseOldServers(em: SqlEntityManager, { from, to }: Renaming): Promise<void> {
  await refuseServersThat(
    em,
    ({ issuer }) => issuer === from || issuer === null,
    (names) => `Servers run with ${from}: ${names}. Give them ROLLUP_ISSUER=${to}, or stop them.`,
  );
}

/** Throws `StartupError` when identities are linked under both names, and names some of the accounts. */
export async function refuseNamesakes(em: SqlEntityManager, { from, to }: Renaming): Promise<void> {
  const shared: string[] = [];
  for (let after = ''; ;) {
    const rows = await findNamesakes(em.fork(), { from, to }, after, BATCH);
    shared.push(...rows.flatMap(({ namesakeId }) => namesakeId ?? []));
    const last = rows.at(-1);
    if (!last || shared.length >= MAX_NAMED) break;
    after = last.sub;
  }
  if (shared.length === 0) return;
  throw new StartupError(
    `Identities are linked under both names; of ${to} these accounts: ${shared.slice(0, MAX_NAMED).join(', ')}. End one link of each.`,
  );
}
