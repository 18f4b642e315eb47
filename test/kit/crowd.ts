import type { SqlEntityManager } from '@mikro-orm/sql';
import type { ClientRegistration } from '../../src/token-set.js';
import type { WrappedKey } from '../../src/vault/data-key.js';

/** The tables that grow with the number of accounts, or of attempts to link one. */
export const GROWING = [
  'sealed_tokens',
  'rollup_account',
  'app_user',
  'pending_link',
  'galaxy_slot',
  'pending_revocation',
] as const;

/** Rows of each of them. */
const CROWD = 300_000;
/** Tokens of each kind that have ended, and attempts that have not expired. */
const SOME = CROWD / 100;
/** More than a batch of a command. */
export const LOT = 550;

const ROWS = `from generate_series(1, ${CROWD}) as n`;
/** The first six kinds have ended. */
const KIND = `(1 + n / ${SOME})`;
const idOf = (what: string): string => `md5('${what}' || n)::uuid`;

/** Has nobody but a test make statistics of the tables, which are empty or nearly so, and writes them no log. */
export async function prepareTables(em: SqlEntityManager): Promise<void> {
  // One that refers to another comes first.
  for (const table of GROWING) {
    await em.execute(`alter table ${table} set unlogged`);
    await em.execute(
      `alter table ${table} set (autovacuum_enabled = false, toast.autovacuum_enabled = false)`,
    );
  }
  await analyze(em);
}

/** Makes statistics of what is there now. */
export async function analyze(em: SqlEntityManager): Promise<void> {
  for (const table of GROWING) await em.execute(`analyze ${table}`);
}

/**
 * Inserts a crowd of accounts, of half of which userinfo is due some day. Most tokens end within the hour. Of those that have ended most may not be refreshed: dead,
 * put off, without a refresh token, leased, or of another client; the others do not open.
 *
 * @param em a new unit of work, several of which may write at once.
 * @param keyId wraps their data keys, as the rows say.
 */
export async function insertCrowd(
  em: () => SqlEntityManager,
  { issuer, clientId }: ClientRegistration,
  keyId: string,
): Promise<void> {
  // Foreign keys are not looked up for a million rows.
  const insert = (sql: string, ...values: string[]): Promise<unknown> =>
    em().transactional(async (tx) => {
      await tx.execute('set local session_replication_role = replica');
      await tx.execute(`${sql} ${ROWS}`, values);
    });
  await Promise.all([
    insert(
      `insert into rollup_account (id, user_id, issuer, sub, granted_scope, userinfo_due_at)
       select ${idOf('account')}, ${idOf('user')}, ?, 'urn:rollupid:identity/0x' || md5('sub' || n), 'openid',
         case when n % 2 = 0 then clock_timestamp() + interval '1 day' end`,
      issuer,
    ),
    insert(
      `insert into sealed_tokens (account_id, issuer, client_id, key_id, data_key, access_token, refresh_token, scope,
         access_token_expires_at, status, generation, retry_at, lease_id, lease_expires_at)
       select ${idOf('account')}, ?, case ${KIND} when 5 then 'another' else ? end, ?, 'wrapped', 'sealed',
         case ${KIND} when 3 then null else 'sealed' end, 'openid',
         clock_timestamp() + interval '1 second' * case when ${KIND} <= 6 then -n / 100 else 60 + n % 3600 end,
         case ${KIND} when 1 then 'REAUTHENTICATION_REQUIRED' else 'ACTIVE' end, 1,
         case ${KIND} when 2 then clock_timestamp() + interval '1 hour' end,
         case ${KIND} when 4 then ${idOf('lease')} end,
         case ${KIND} when 4 then clock_timestamp() + interval '1 hour' end`,
      issuer,
      clientId,
      keyId,
    ),
    // Most were put off; those of another client are due.
    insert(
      `insert into pending_revocation (id, account_id, issuer, client_id, key_id, data_key, refresh_token, retry_at)
       select ${idOf('revocation')}, ${idOf('account')}, ?, case when n % 10 = 0 then 'another' else ? end, ?, 'wrapped',
         'sealed', clock_timestamp() + interval '1 hour' * case when n % 10 = 0 then -1 else 1 end`,
      issuer,
      clientId,
      keyId,
    ),
    insert(`insert into app_user (id) select ${idOf('user')}`),
    // Slots of a budget that was reduced.
    insert('insert into galaxy_slot (slot, taken_at) select 1000 + n, to_timestamp(0)'),
  ]);
}

/** Inserts a crowd of attempts to link, most of which have expired; they all come from where the one came from that is there. */
export async function insertAttempts(em: SqlEntityManager): Promise<void> {
  await em.execute(
    `insert into pending_link (state_hash, link_token_hash, nonce_hash, redirect_uri, user_id, address_hash, expires_at)
     select md5('state' || n), md5('link' || n), md5('nonce' || n), redirect_uri,
       case when n % 2 = 0 then ${idOf('user')} end, address_hash,
       clock_timestamp() + interval '1 second' * (${SOME} - n) from pending_link, generate_series(1, ${CROWD}) as n`,
  );
}

/** Repeats the attempt of a user, more often than a user may begin one. */
export async function repeatAttempt(em: SqlEntityManager, userId: string): Promise<void> {
  await em.execute(
    `insert into pending_link select (jsonb_populate_record(p, jsonb_build_object('state_hash', gen_random_uuid()))).*
     from pending_link p, generate_series(1, ${LOT}) where user_id = ?`,
    [userId],
  );
}

/** Deletes the attempts that have expired, which takes the servers minutes, and what is left of them in indexes. */
export async function deleteExpired(em: SqlEntityManager): Promise<void> {
  await em.execute('delete from pending_link where expires_at < clock_timestamp()');
  await em.execute('vacuum pending_link');
}

/** Has another key wrap the data keys of some accounts of the crowd. */
export async function wrapSome(em: SqlEntityManager, { keyId, dataKey }: WrappedKey): Promise<void> {
  await em.execute(
    `update sealed_tokens set key_id = ?, data_key = ? where account_id in (
       select account_id from sealed_tokens where data_key = 'wrapped' limit ${LOT})`,
    [keyId, dataKey],
  );
}

/** Notes refresh tokens that are to be revoked, with the data keys that this key wraps; those of the crowd are damaged. */
export async function noteSome(em: SqlEntityManager, keyId: string): Promise<void> {
  await em.execute(
    `insert into pending_revocation (id, account_id, issuer, client_id, key_id, data_key, refresh_token, retry_at)
     select gen_random_uuid(), account_id, issuer, client_id, key_id, data_key, 'sealed',
       clock_timestamp() + interval '1 hour' from sealed_tokens where key_id between ? and ? limit 3`,
    [keyId, keyId],
  );
  await em.execute(
    `update pending_revocation set data_key = 'damaged' where id in (
       select id from pending_revocation where key_id between ? and ? limit 1)`,
    [keyId, keyId],
  );
}

/** Gives accounts another issuer whose tokens a lost key took. */
export async function renameSome(em: SqlEntityManager, issuer: string): Promise<void> {
  await em.execute(
    `update rollup_account set issuer = ? where id in (
       select account_id from sealed_tokens where access_token is null limit ${LOT})`,
    [issuer],
  );
}
