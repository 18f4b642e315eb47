import { Migration } from '@mikro-orm/migrations';

/** What a provider said and what is still to be done about it: kept answers, revocations, and userinfo to be read. */
export class AnswersInHandMigration extends Migration {
  override up(): void {
    this.addSql(`alter table sealed_tokens
      add column access_token_issued_at timestamptz(3) null,
      add column pending_response text null`);
    this.addSql(`create table pending_revocation (
      id uuid primary key,
      account_id uuid not null,
      issuer text not null,
      client_id text not null,
      key_id text not null,
      data_key text not null,
      refresh_token text not null,
      failure_count int not null default 0,
      created_at timestamptz(3) not null default clock_timestamp(),
      retry_at timestamptz(3) not null default clock_timestamp())`);
    this.addSql(
      `create index pending_revocation_due_index on pending_revocation (issuer, client_id, retry_at)`,
    );
    this.addSql('create index pending_revocation_key_id_index on pending_revocation (key_id, id)');
    this.addSql('alter table server_heartbeat add column issuer text null');
    this.addSql('alter table rollup_account add column userinfo_due_at timestamptz(3) null');
    this.addSql(`create index rollup_account_userinfo_due_index on rollup_account (issuer, userinfo_due_at)
      where userinfo_due_at is not null`);
  }

  override down(): void {
    this.addSql('drop index rollup_account_userinfo_due_index');
    this.addSql('alter table rollup_account drop column userinfo_due_at');
    this.addSql('alter table server_heartbeat drop column issuer');
    this.addSql('drop table pending_revocation');
    this.addSql('alter table sealed_tokens drop column access_token_issued_at, drop column pending_response');
  }
}
