import { Migration } from '@mikro-orm/migrations';

/** Users, linked identities, open link attempts and sealed tokens. */
export class InitialMigration extends Migration {
  // oxlint-disable-next-line max-lines-per-function -- statements only, and a released migration stays as it is
  override up(): void {
    this.addSql(`create table app_user (
      id uuid primary key,
      name text null,
      picture text null,
      email text null,
      created_at timestamptz(3) not null default clock_timestamp())`);
    this.addSql(`create table rollup_account (
      id uuid primary key,
      user_id uuid not null,
      issuer text not null,
      sub text not null,
      linked_at timestamptz(3) not null default clock_timestamp(),
      constraint rollup_account_user_id_foreign foreign key (user_id) references app_user (id) on delete restrict,
      constraint rollup_account_identity_unique unique (issuer, sub))`);
    this.addSql(`create index rollup_account_user_id_index on rollup_account (user_id)`);
    this.addSql(`create table pending_link (
      state_hash text primary key,
      link_token_hash text not null,
      nonce_hash text not null,
      code_verifier text not null,
      redirect_uri text not null,
      user_id uuid null,
      expires_at timestamptz(3) not null)`);
    this.addSql(`create index pending_link_expires_at_index on pending_link (expires_at)`);
    // The vault does not know the accounts, so this foreign key lives here and not in an entity.
    this.addSql(`create table sealed_tokens (
      account_id uuid primary key references rollup_account (id) on delete cascade,
      status text not null,
      scope text not null,
      access_token text not null,
      id_token text null,
      refresh_token text null,
      key_ids text not null,
      access_token_expires_at timestamptz(3) not null,
      last_refreshed_at timestamptz(3) null,
      generation int not null,
      refresh_token_rotates boolean not null default false,
      lease_id uuid null,
      lease_expires_at timestamptz(3) null,
      failure_count int not null default 0,
      retry_at timestamptz(3) null,
      constraint sealed_tokens_status_check check (status in ('ACTIVE', 'REAUTHENTICATION_REQUIRED')))`);
  }

  override down(): void {
    this.addSql('drop table sealed_tokens');
    this.addSql('drop table pending_link');
    this.addSql('drop table rollup_account');
    this.addSql('drop table app_user');
  }
}
