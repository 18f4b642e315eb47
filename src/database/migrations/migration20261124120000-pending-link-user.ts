import { Migration } from '@mikro-orm/migrations';

/** Finding the attempts of one user, of which only the newest are kept, must not read those of everybody. */
export class PendingLinkUserMigration extends Migration {
  override up(): void {
    this.addSql('create index pending_link_user_id_index on pending_link (user_id)');
  }

  override down(): void {
    this.addSql('drop index pending_link_user_id_index');
  }
}
