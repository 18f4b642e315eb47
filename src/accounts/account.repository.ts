import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { formatScope, parseScope } from '../scope.js';
import { RollupAccount } from './rollup-account.entity.js';
import { User } from './user.entity.js';

/** An identity as the provider names it; both compared byte for byte. */
export interface Identity {
  readonly issuer: string;
  readonly sub: string;
}

/** What a person lets us know. Absent means not consented to, or not set. */
export interface Person {
  readonly name?: string;
  readonly picture?: string;
  readonly email?: string;
}

/** A user as it is read: a value, shared by nobody's unit of work. */
export interface UserRecord {
  readonly id: string;
  readonly name: string | null;
  readonly picture: string | null;
  readonly email: string | null;
  readonly createdAt: Date;
}

/** A linked identity as it is read. */
export interface AccountRecord extends Identity {
  readonly id: string;
  readonly userId: string;
  readonly linkedAt: Date;
  /** Every scope that was ever consented to, whatever the tokens allow now. */
  readonly grantedScopes: readonly string[];
}

/** Users by their identities at one issuer, in one statement; keyed by `sub`. Unlinked ones are left out. */
export async function findUsersBySub(
  em: SqlEntityManager,
  issuer: string,
  subs: readonly string[],
): Promise<Map<string, UserRecord>> {
  const rows: (Omit<UserRecord, 'createdAt'> & { sub: string; createdMs: number })[] = await em.execute(
    `select a.sub, u.id, u.name, u.picture, u.email, extract(epoch from u.created_at)::float8 * 1000 as "createdMs"
     from rollup_account a join app_user u on u.id = a.user_id
     where a.issuer = ? and a.sub = any(array(select jsonb_array_elements_text(?::jsonb)))`,
    [issuer, JSON.stringify(subs)],
  );
  return new Map(
    rows.map(({ sub, createdMs, ...user }) => [sub, { ...user, createdAt: new Date(createdMs) }]),
  );
}

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

/** The account of a user by its id, or by the caller's identity; undefined also when it is another user's. */
export async function findAccountOfUser(
  em: SqlEntityManager,
  userId: string,
  by: { readonly id: string } | Identity,
): Promise<AccountRecord | undefined> {
  if ('id' in by && !isUuid(by.id)) return undefined;
  const account = await em.findOne(RollupAccount, { ...by, user: userId });
  return account ? toRecord(account) : undefined;
}

/** The account of an identity, its row locked until the transaction ends. */
export async function lockAccount(
  tx: SqlEntityManager,
  { issuer, sub }: Identity,
): Promise<AccountRecord | undefined> {
  const [row] = await tx.execute<{ id: string }[]>(
    'select id from rollup_account where issuer = ? and sub = ? for update',
    [issuer, sub],
  );
  return row && toRecord(await tx.findOneOrFail(RollupAccount, row.id));
}

/** Adds a new identity to `userId`. Throws the driver's unique violation when another link was faster. */
export async function insertAccount(
  tx: SqlEntityManager,
  userId: string,
  identity: Identity,
): Promise<AccountRecord> {
  const account = tx.create(RollupAccount, { id: randomUUID(), user: userId, ...identity });
  await tx.flush();
  return toRecord(account);
}

/** Adds the scopes of a link to all that were consented to before. */
export async function addGrantedScopes(
  tx: SqlEntityManager,
  accountId: string,
  scopes: readonly string[],
): Promise<AccountRecord> {
  const account = await tx.findOneOrFail(RollupAccount, accountId);
  account.grantedScope = formatScope([...new Set([...parseScope(account.grantedScope), ...scopes])]);
  await tx.flush();
  return toRecord(account);
}

/** Creates a user whom nobody can reach before an account is added in the same transaction. */
export async function insertUser(tx: SqlEntityManager): Promise<string> {
  const user = tx.create(User, { id: randomUUID() });
  await tx.flush();
  return user.id;
}

/** Takes over what the person lets us know now; what they do not mention stays. */
export async function updatePerson(
  tx: SqlEntityManager,
  userId: string,
  person: Person,
): Promise<UserRecord> {
  const user = await tx.findOneOrFail(User, userId);
  tx.assign(user, person);
  await tx.flush();
  const { id, name, picture, email, createdAt } = user;
  return { id, name: name ?? null, picture: picture ?? null, email: email ?? null, createdAt };
}

/** Locks a user's row until the transaction ends; always after the account's. False when it is gone. */
export async function lockUser(tx: SqlEntityManager, userId: string): Promise<boolean> {
  return (await tx.execute('select id from app_user where id = ? for update', [userId])).length > 0;
}

/** Deletes an account of this user and, through it, its sealed tokens. False when there is none. */
export async function deleteAccount(
  tx: SqlEntityManager,
  userId: string,
  accountId: string,
): Promise<boolean> {
  return isUuid(accountId) && (await tx.nativeDelete(RollupAccount, { id: accountId, user: userId })) > 0;
}

/** Deletes a user to whom no identity leads any more. */
export async function deleteUnreachableUser(tx: SqlEntityManager, userId: string): Promise<void> {
  await tx.execute(
    'delete from app_user u where u.id = ? and not exists (select 1 from rollup_account a where a.user_id = u.id)',
    [userId],
  );
}

/** What is no UUID is nobody's id; PostgreSQL would call it an error. */
function isUuid(id: string): boolean {
  return /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(id);
}

function toRecord({ id, user, issuer, sub, linkedAt, grantedScope }: RollupAccount): AccountRecord {
  return { id, userId: user.id, issuer, sub, linkedAt, grantedScopes: parseScope(grantedScope) };
}
