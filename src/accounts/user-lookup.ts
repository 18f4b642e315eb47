import type { SqlEntityManager } from '@mikro-orm/sql';
import DataLoader from 'dataloader';
import { findUsersBySub, type UserRecord } from './user.repository.js';

/** Finds the user of an identity; undefined when it is not linked. */
export type UserLookup = (sub: string) => Promise<UserRecord | undefined>;

/**
 * One statement for the lookups of all requests that run at the same moment, which is most of what a busy
 * server does. Nothing is remembered from one statement to the next, so nobody sees another's or an old user.
 */
export function createUserLookup(em: SqlEntityManager, issuer: string): UserLookup {
  const batch = new DataLoader<string, UserRecord | undefined>(
    async (subs) => {
      const users = await findUsersBySub(em.fork(), issuer, subs);
      return subs.map((sub) => users.get(sub));
    },
    { cache: false, maxBatchSize: 200, batchScheduleFn: (run) => void setImmediate(run) },
  );
  return (sub) => batch.load(sub);
}
