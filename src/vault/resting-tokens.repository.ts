import type { SqlEntityManager } from '@mikro-orm/sql';
import type { ClientRegistration } from '../token-set.js';

/** Accounts whose tokens were issued by another issuer or to another client. */
export interface RestingTokens {
  /** Those that could be refreshed there. An estimate of the planner above the limit. */
  readonly accounts: number;
  /** Whose some of them are. */
  readonly example: ClientRegistration;
}

/**
 * The parts of the index of what is due for a refresh on either side of our own. A row comparison with `<` would read on
 * through all of ours.
 */
const SIDES: readonly (readonly [sql: string, valuesOf: (ours: ClientRegistration) => string[]])[] = [
  ['issuer < ?', ({ issuer }) => [issuer]],
  ['issuer = ? and client_id < ?', ({ issuer, clientId }) => [issuer, clientId]],
  ['(issuer, client_id) > (?, ?)', ({ issuer, clientId }) => [issuer, clientId]],
];
const REFRESHABLE = `from sealed_tokens where status = 'ACTIVE' and refresh_token is not null`;

/**
 * How many accounts rest with these settings; undefined when none does. Reads `limit` entries of an index at most, and
 * estimates what is beyond.
 */
export async function countRestingTokens(
  em: SqlEntityManager,
  { issuer, clientId }: ClientRegistration,
  limit: number,
): Promise<RestingTokens | undefined> {
  const found: ClientRegistration[] = [];
  for (const [side, valuesOf] of SIDES) {
    const rows = await em.execute<ClientRegistration[]>(
      `select issuer, client_id as "clientId" ${REFRESHABLE} and ${side} order by issuer, client_id limit ?`,
      [...valuesOf({ issuer, clientId }), limit - found.length],
    );
    found.push(...rows);
  }
  const [example] = found;
  if (!example) return undefined;
  if (found.length < limit) return { accounts: found.length, example };
  const [explained] = await em.execute<{ 'QUERY PLAN': { Plan: { 'Plan Rows': number } }[] }[]>(
    `explain (format json) select ${REFRESHABLE} and not (issuer = ? and client_id = ?)`,
    [issuer, clientId],
  );
  return { accounts: Math.max(explained?.['QUERY PLAN'][0]?.Plan['Plan Rows'] ?? 0, limit), example };
}
