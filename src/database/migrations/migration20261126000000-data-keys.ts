import { Migration } from '@mikro-orm/migrations';
import { StartupError } from '../../errors.js';

/** A data key for each account, a registry of keys, and the servers that hold them. */
export class DataKeysMigration extends Migration {
  override async up(): Promise<void> {
    // Tokens of the form before cannot be read any more, and nothing of that form was ever released.
    if ((await this.execute('select from sealed_tokens limit 1')).length > 0) {
      throw new StartupError(
        'This database holds tokens that an earlier development version stored, and this version cannot read them. ' +
          'Start with an empty database (or remove DATA_DIR), and link again; nothing was changed.',
      );
    }
    this.addSql(`create table token_key (
      kid text primary key,
      check_value text not null,
      created_at timestamptz(3) not null default clock_timestamp(),
      retired_at timestamptz(3) null,
      given_up_at timestamptz(3) null)`);
    this.addSql(`create table server_heartbeat (
      id uuid primary key,
      server text not null,
      kids text not null,
      seen_at timestamptz(3) not null default clock_timestamp())`);
    this.addSql(`alter table sealed_tokens
      drop column key_ids,
      alter column access_token drop not null,
      add column issuer text not null,
      add column client_id text not null,
      add column key_id text null,
      add column data_key text null,
      add constraint sealed_tokens_key_id_foreign foreign key (key_id) references token_key (kid) on delete restrict,
      add constraint sealed_tokens_data_key_check
        check ((key_id is null) = (data_key is null) and (data_key is null) = (access_token is null))`);
    // Rotation walks along it, and what a key is needed for is counted in it.
    this.addSql(`create index sealed_tokens_key_id_index on sealed_tokens (key_id, account_id)`);
    // Derived from the link token, which only the one who began holds.
    this.addSql('delete from pending_link');
    this.addSql('alter table pending_link drop column code_verifier');
  }

  override down(): void {
    this.addSql('delete from pending_link');
    this.addSql('alter table pending_link add column code_verifier text not null');
    this.addSql('delete from sealed_tokens');
    this.addSql(`alter table sealed_tokens
      drop column issuer, drop column client_id, drop column key_id, drop column data_key,
      alter column access_token set not null,
      add column key_ids text not null`);
    this.addSql('drop table server_heartbeat');
    this.addSql('drop table token_key');
  }
}
