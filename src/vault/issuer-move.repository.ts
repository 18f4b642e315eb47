import type { SqlEntityManager } from '@mikro-orm/sql';
import { CONTENT_COLUMNS, type SealedContent } from './sealed-row.repository.js';
import { countByIndex } from './sealed-tokens.repository.js';

/** The two names of an issuer: its origin as it was, and as it is from now on. */
export interface Renaming {
  readonly from: string;
  readonly to: string;
}

/** An account of an issuer, by its place in the index. */
export interface AccountOfIssuer {
  readonly id: string;
  readonly sub: string;
}

/** The tokens of an account, and whose they are; null once they were removed. */
export interface TokensToMove extends SealedContent {
  readonly clientId: string;
}

/** The ciphertexts of an account, sealed anew. */
export type MovedTokens = Pick<TokensToMove, 'accountId' | 'accessToken' | 'idToken' | 'refreshToken'>;

/** How many accounts an issuer has, from the index alone. */
export function countOfIssuer(em: SqlEntityManager, issuer: string): Promise<number> {
  return countByIndex(em, 'select count(*)::int as accounts from rollup_account where issuer = ?', [issuer]);
}

/** Up to `limit` subjects of the old name after one, each with the account of the same subject under the new name. */
export function findNamesakes(
  em: SqlEntityManager,
  { from, to }: Renaming,
  afterSub: string,
  limit: number,
): Promise<{ readonly sub: string; readonly namesakeId: string | null }[]> {
  return em.execute(
    `select sub, (select n.id from rollup_account n where n.issuer = ? and n.sub = o.sub) as "namesakeId"
     from (select sub from rollup_account where issuer = ? and sub > ? order by issuer, sub limit ?) o`,
    [to, from, afterSub, limit],
  );
}

/**
 * Up to `limit` accounts of an issuer after a subject that have no namesake at the other issuer, their rows locked.
 * Those that another transaction holds are left out.
 */
export function lockAccountsOf(
  tx: SqlEntityManager,
  { from, to }: Renaming,
  afterSub: string,
  limit: number,
): Promise<AccountOfIssuer[]> {
  return tx.execute(
    `select id, sub from rollup_account o
     where issuer = ? and sub > ? and (select n.id from rollup_account n where n.issuer = ? and n.sub = o.sub) is null
     order by issuer, sub limit ? for update skip locked`,
    [from, afterSub, to, limit],
  );
}

/** The tokens of accounts, their rows locked. */
export function lockTokensOf(tx: SqlEntityManager, accountIds: readonly string[]): Promise<TokensToMove[]> {
  return tx.execute(
    `select ${CONTENT_COLUMNS}, client_id as "clientId" from sealed_tokens
     where account_id = any(string_to_array(?, ',')::uuid[]) order by account_id for update`,
    [accountIds.join(',')],
  );
}

/**
 * Puts the tokens of accounts in place that were sealed for another issuer. The access token names the old one, so it
 * has ended; a response that was kept for later would not verify, and goes. Lease and back-off stay.
 */
export async function moveTokens(
  tx: SqlEntityManager,
  issuer: string,
  tokens: readonly MovedTokens[],
): Promise<void> {
  await tx.execute(
    `update sealed_tokens t set issuer = ?, access_token = v ->> 'accessToken', id_token = v ->> 'idToken',
       refresh_token = v ->> 'refreshToken', pending_response = null, generation = generation + 1,
       access_token_expires_at = least(access_token_expires_at, clock_timestamp())
     from jsonb_array_elements(?::jsonb) as v where t.account_id = (v ->> 'accountId')::uuid`,
    [issuer, JSON.stringify(tokens)],
  );
}

/** Renames the issuer of accounts. Throws the driver's unique violation when one was linked there meanwhile. */
export async function moveAccounts(
  tx: SqlEntityManager,
  issuer: string,
  accountIds: readonly string[],
): Promise<void> {
  await tx.execute(`update rollup_account set issuer = ? where id = any(string_to_array(?, ',')::uuid[])`, [
    issuer,
    accountIds.join(','),
  ]);
}
