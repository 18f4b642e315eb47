import type { SqlEntityManager } from '@mikro-orm/sql';

/** The stored tokens, which a test reads and edits past the servers. */
export interface TokenRows {
  em(): SqlEntityManager;
  /** Makes a stored access token expire `secondsAgo`; a negative number is its remaining lifetime. */
  expire(accountId: string, secondsAgo?: number): Promise<void>;
  /** Ends a back-off or a lease. */
  elapse(accountId: string, column: 'retry_at' | 'lease_expires_at'): Promise<void>;
  /** The row of `sealed_tokens`. */
  row(accountId: string): Promise<Record<string, unknown>>;
}

/** Reads and edits through `em`. */
export function tokenRows(em: () => SqlEntityManager): TokenRows {
  return {
    em,
    expire: async (accountId, secondsAgo = 1) => {
      await em().execute(
        `update sealed_tokens set access_token_expires_at = clock_timestamp() - ? * interval '1 second'
         where account_id = ?`,
        [secondsAgo, accountId],
      );
    },
    elapse: async (accountId, column) => {
      await em().execute(`update sealed_tokens set ${column} = clock_timestamp() where account_id = ?`, [
        accountId,
      ]);
    },
    row: async (accountId) => {
      const [row] = await em().execute('select * from sealed_tokens where account_id = ?', [accountId]);
      return (row ?? {}) as Record<string, unknown>;
    },
  };
}
