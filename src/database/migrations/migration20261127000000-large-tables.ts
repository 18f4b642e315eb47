import { Migration } from '@mikro-orm/migrations';

/** Indexes for what is asked again and again, and where an attempt to link came from. */
export class LargeTablesMigration extends Migration {
  override up(): void {
    this.addSql('alter table pending_link add column address_hash text null');
    this.addSql('drop index pending_link_user_id_index');
    this.addSql('create index pending_link_user_index on pending_link (user_id, expires_at)');
    this.addSql('create index pending_link_address_index on pending_link (address_hash, expires_at)');
    this.addSql('create index galaxy_slot_taken_at_index on galaxy_slot (taken_at)');
    // Last, since it takes long: by then all other locks are there.
    this.addSql(`create index sealed_tokens_refresh_due_index
      on sealed_tokens (issuer, client_id, greatest(access_token_expires_at, retry_at))
      where status = 'ACTIVE' and refresh_token is not null`);
  }

  override down(): void {
    this.addSql('drop index galaxy_slot_taken_at_index');
    this.addSql('drop index pending_link_address_index');
    this.addSql('drop index pending_link_user_index');
    this.addSql('create index pending_link_user_id_index on pending_link (user_id)');
    this.addSql('alter table pending_link drop column address_hash');
    this.addSql('drop index sealed_tokens_refresh_due_index');
  }
}
