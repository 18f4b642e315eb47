import type { SqlEntityManager } from '@mikro-orm/sql';

/** Keys that a database knows, for rows whose data keys nobody unwraps. */
export const [KEY_ID, NEXT_KEY_ID] = ['k1', 'k2'] as const;

/** Makes the keys known. */
export async function insertKeys(em: SqlEntityManager): Promise<void> {
  await em.execute(`insert into token_key (kid, check_value) values (?, 'any'), (?, 'any')`, [
    KEY_ID,
    NEXT_KEY_ID,
  ]);
}

export type TokenRows = ReturnType<typeof tokenRows>;

/** The stored tokens, which a test reads and edits past the servers. */
export function tokenRows(em: () => SqlEntityManager) {
  return {
    em,
    /** Makes a stored access token expire `secondsAgo`; a negative number is its remaining lifetime. */
    expire: async (accountId: string, secondsAgo = 1): Promise<void> => {
      await em().execute(
        `update sealed_tokens set access_token_expires_at = clock_timestamp() - ? * interval '1 second'
         where account_id = ?`,
        [secondsAgo, accountId],
      );
    },
    /** Ends a back-off or a lease. */
    elapse: async (accountId: string, column: 'retry_at' | 'lease_expires_at'): Promise<void> => {
      await em().execute(`update sealed_tokens set ${column} = clock_timestamp() where account_id = ?`, [
        accountId,
      ]);
    },
    /** How many accounts have their data key wrapped by this key. */
    wrappedBy: async (kid: string): Promise<number> =>
      (await em().execute('select from sealed_tokens where key_id = ?', [kid])).length,
    /** The row of `sealed_tokens`. */
    row: async (accountId: string): Promise<Record<string, unknown>> => {
      const [row] = await em().execute('select * from sealed_tokens where account_id = ?', [accountId]);
      return (row ?? {}) as Record<string, unknown>;
    },
  };
}
