import type { SqlEntityManager } from '@mikro-orm/sql';
import { parseScope } from '../scope.js';
import { type SealedOf, type SealedRow, toSealedRow } from '../vault/sealed-row.repository.js';
import type { SqlPart } from '../vault/sealed-tokens.repository.js';
import { RollupAccount } from './rollup-account.entity.js';

/** An identity as the provider names it; both compared byte for byte. */
export interface Identity {
  readonly issuer: string;
  readonly sub: string;
}

/** A linked identity as it is read. */
export interface AccountRecord extends Identity {
  readonly id: string;
  readonly userId: string;
  readonly linkedAt: Date;
  /** Every scope that was ever consented to, whatever the tokens allow now. */
  readonly grantedScopes: readonly string[];
  /** Since when, or from when on, userinfo is to be read for what a sign-in missed; null when it missed nothing. */
  readonly userinfoDueAt: Date | null;
}

/** A linked identity, and its tokens as they are stored. */
export interface LinkedIdentity {
  readonly account: AccountRecord;
  readonly stored: SealedRow | undefined;
}

/** A row as `ACCOUNT_COLUMNS` select it. */
export type AccountRow = Pick<AccountRecord, 'id' | 'userId' | 'issuer' | 'sub'> & {
  readonly grantedScope: string;
  readonly linkedMs: string;
  readonly dueMs: string | null;
};

/** What an `AccountRecord` is made of. Numbers are texts: how many digits one has, a database may set. */
export const ACCOUNT_COLUMNS = `id, user_id as "userId", issuer, sub, granted_scope as "grantedScope",
  (extract(epoch from linked_at) * 1000)::text as "linkedMs",
  (extract(epoch from userinfo_due_at) * 1000)::text as "dueMs"`;

/** Linked identities of several users in one statement, oldest first. */
export async function findAccountsOfUsers(
  em: SqlEntityManager,
  userIds: readonly string[],
): Promise<AccountRecord[]> {
  const accounts = await em.find(
    RollupAccount,
    { user: { $in: [...userIds] } },
    { orderBy: { linkedAt: 'asc', id: 'asc' } },
  );
  return accounts.map(toRecord);
}

/** The account of a user by its id; undefined also when it is another user's. */
export async function findAccountOfUser(
  em: SqlEntityManager,
  userId: string,
  id: string,
): Promise<AccountRecord | undefined> {
  const account = isUuid(id) && (await em.findOne(RollupAccount, { id, user: userId }));
  return account ? toRecord(account) : undefined;
}

/**
 * Identities of one issuer as the relation `a`; parameters: the subs, and then the issuer. Each is looked up by the unique
 * index: with `limit` there is no other way, whatever the statistics say.
 */
export function fromIdentities(subs: readonly string[], columns: string): string {
  return `from (values ${subs.map(() => '(?)').join(', ')}) as s (sub)
    cross join lateral (select ${columns} from rollup_account where issuer = ? and sub = s.sub limit 1) a`;
}

/**
 * Accounts of identities of one issuer with their tokens, in one statement; those that are not linked are left out. Every
 * renewal begins with it.
 *
 * @param tokens see `TokenVault.joinStored`.
 */
export async function findLinkedIdentities(
  em: SqlEntityManager,
  issuer: string,
  subs: readonly string[],
  tokens: SqlPart,
): Promise<LinkedIdentity[]> {
  const rows: (AccountRow & SealedOf)[] = await em.execute(
    `select a.*, sealed.* ${fromIdentities(subs, ACCOUNT_COLUMNS)} ${tokens.sql}`,
    [...subs, issuer, ...tokens.params],
  );
  return rows.map((row) => ({ account: fromRow(row), stored: toSealedRow(row) }));
}

/** The record of a row. */
export function fromRow({
  id,
  userId,
  issuer,
  sub,
  grantedScope,
  linkedMs,
  dueMs,
}: AccountRow): AccountRecord {
  const linkedAt = new Date(Number(linkedMs));
  const userinfoDueAt = dueMs === null ? null : new Date(Number(dueMs));
  return { id, userId, issuer, sub, linkedAt, grantedScopes: parseScope(grantedScope), userinfoDueAt };
}

/** Locks an account until the transaction ends; before its tokens, as a link does. False when it is gone. */
export async function lockAccount(tx: SqlEntityManager, accountId: string): Promise<boolean> {
  return (await tx.execute('select from rollup_account where id = ? for update', [accountId])).length > 0;
}

/** Deletes an account of this user and, through it, its sealed tokens. False when there is none. */
export async function deleteAccount(
  tx: SqlEntityManager,
  userId: string,
  accountId: string,
): Promise<boolean> {
  return isUuid(accountId) && (await tx.nativeDelete(RollupAccount, { id: accountId, user: userId })) > 0;
}

/** PostgreSQL throws for an id that is not a UUID. */
function isUuid(id: string): boolean {
  return /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(id);
}

function toRecord({ user, grantedScope, userinfoDueAt, ...account }: RollupAccount): AccountRecord {
  const { id, issuer, sub, linkedAt } = account;
  const grantedScopes = parseScope(grantedScope);
  return { id, userId: user.id, issuer, sub, linkedAt, grantedScopes, userinfoDueAt: userinfoDueAt ?? null };
}
