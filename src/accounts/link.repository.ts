import { randomUUID } from 'node:crypto';
import { ForeignKeyConstraintViolationException } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { LinkNotFoundError } from '../errors.js';
import type { PersonClaims } from '../rollup/id-token.js';
import { formatScope, parseScope } from '../scope.js';
import type { AccountRecord, Identity } from './account.repository.js';
import type { SqlPart } from '../vault/sealed-tokens.repository.js';
import type { UserRecord } from './user.repository.js';

/** What a link tells about an identity. */
export interface LinkRecord extends Identity {
  readonly scopes: readonly string[];
  readonly person: PersonClaims;
  /** Whether userinfo is still to be read for what it would have told. */
  readonly isUserinfoDue: boolean;
}

/** The rows of a link. */
export interface StoredLink {
  readonly account: AccountRecord;
  readonly user: UserRecord;
  readonly isNewUser: boolean;
}

type Row = Pick<AccountRecord, 'id' | 'userId'> &
  Pick<UserRecord, 'name' | 'picture' | 'email'> & {
    readonly grantedScope: string;
    readonly linkedMs: string;
    readonly createdMs: string;
  };

/** Both scope strings as one, each scope once, the earlier ones first. */
const ALL_SCOPES = `select string_agg(name, ' ' order by at) from (
  select name, min(at) as at
  from unnest(string_to_array(rollup_account.granted_scope || ' ' || excluded.granted_scope, ' '))
    with ordinality as scope (name, at)
  where name <> '' group by name) as scopes`;

const USER_COLUMNS = 'app_user.name, app_user.picture, app_user.email, app_user.created_at';

/** The account is written before its user, so the locks have that order, too. */
const putLinkSql = (
  onConflict: string,
  more = '',
): string => `with given (id, user_id, new_user_id, issuer, sub, scope, userinfo_due_at, name, picture, email) as (
    values (?::uuid, ?::uuid, ?::uuid, ?, ?, ?, case when ? then clock_timestamp() end, ?, ?, ?)),
  account as (
    insert into rollup_account (id, user_id, issuer, sub, granted_scope, userinfo_due_at)
    select id, coalesce(user_id, new_user_id), issuer, sub, scope, userinfo_due_at from given
    on conflict (issuer, sub) ${onConflict}
    returning id, user_id, granted_scope, linked_at),
  created as (
    insert into app_user (id, name, picture, email)
    select new_user_id, name, picture, email from given, account where account.user_id = new_user_id
    returning ${USER_COLUMNS}),
  updated as (
    update app_user set name = coalesce(given.name, app_user.name),
      picture = coalesce(given.picture, app_user.picture), email = coalesce(given.email, app_user.email)
    from given, account
    where app_user.id = account.user_id and account.user_id is distinct from given.new_user_id
    returning ${USER_COLUMNS})${more}
  select id, user_id as "userId", granted_scope as "grantedScope", name, picture, email,
    (extract(epoch from linked_at) * 1000)::text as "linkedMs",
    (extract(epoch from created_at) * 1000)::text as "createdMs"
  from account, (select * from created union all select * from updated) as owner`;
const PUT_LINK = putLinkSql(`do update
      set granted_scope = (${ALL_SCOPES}), userinfo_due_at = excluded.userinfo_due_at`);

/**
 * Stores a link in one statement: a new identity for `userId`, or for a user of its own; of a known one the user, who may
 * be another. Scopes are added to those of earlier links, and absent claims keep their stored value.
 *
 * Resolves with undefined when another transaction linked the identity while the statement ran, which cannot see that
 * user: it is to be rolled back and run again. Throws `LinkNotFoundError` when there is no such user.
 */
export function putLink(
  tx: SqlEntityManager,
  link: LinkRecord,
  userId: string | null,
): Promise<StoredLink | undefined> {
  return runPutLink(tx, PUT_LINK, link, userId, randomUUID());
}

/**
 * Stores the first link of an identity with its tokens, in one statement: all of it or nothing.
 *
 * Resolves with undefined, and changes nothing, when the identity is linked by now. Throws `LinkNotFoundError` when there
 * is no such user.
 *
 * @param tokens see `TokenVault.sealFirst`; for this account.
 */
export function putFirstLink(
  em: SqlEntityManager,
  link: LinkRecord,
  userId: string | null,
  accountId: string,
  tokens: SqlPart,
): Promise<StoredLink | undefined> {
  const sql = putLinkSql('do nothing', `,\n  sealed as (${tokens.sql})`);
  return runPutLink(em, sql, link, userId, accountId, tokens.params);
}

async function runPutLink(
  em: SqlEntityManager,
  sql: string,
  { issuer, sub, scopes, person, isUserinfoDue }: LinkRecord,
  userId: string | null,
  accountId: string,
  more: readonly unknown[] = [],
): Promise<StoredLink | undefined> {
  const newUserId = userId === null ? randomUUID() : null;
  const identity = [accountId, userId, newUserId, issuer, sub, formatScope(scopes), isUserinfoDue];
  const claims = [person.name ?? null, person.picture ?? null, person.email ?? null];
  const rows = em.execute<Row[]>(sql, [...identity, ...claims, ...more]);
  const [row] = await rows.catch((cause: unknown) => {
    throw cause instanceof ForeignKeyConstraintViolationException ? new LinkNotFoundError() : cause;
  });
  return row && { ...toRecords(row, { issuer, sub }), isNewUser: row.userId === newUserId };
}

function toRecords(row: Row, identity: Identity): Pick<StoredLink, 'account' | 'user'> {
  const { id, userId, grantedScope, linkedMs, createdMs, name, picture, email } = row;
  const linkedAt = new Date(Number(linkedMs));
  return {
    account: {
      ...identity,
      id,
      userId,
      linkedAt,
      grantedScopes: parseScope(grantedScope),
      userinfoDueAt: null,
    },
    user: { id: userId, name, picture, email, createdAt: new Date(Number(createdMs)) },
  };
}
