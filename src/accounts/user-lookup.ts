import type { SqlEntityManager } from '@mikro-orm/sql';
import DataLoader from 'dataloader';
import { findUsersBySub, type UserRecord } from './user.repository.js';

/** Finds the user of an identity; undefined when it is not linked. */
export type UserLookup = (sub: string) => Promise<UserRecord | undefined>;

/** Batches the lookups of concurrent requests into one statement. Nothing is cached between statements. */
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
