import { Migration } from '@mikro-orm/migrations';

/** What was consented to over time, and the requests that may be made of Galaxy. */
export class ConsentMigration extends Migration {
  override up(): void {
    this.addSql(`alter table rollup_account add column granted_scope text not null default ''`);
    this.addSql(
      `update rollup_account a set granted_scope = t.scope from sealed_tokens t where t.account_id = a.id`,
    );
    this.addSql(`create table galaxy_slot (
      slot int primary key,
      taken_at timestamptz(3) not null)`);
  }

  override down(): void {
    this.addSql('drop table galaxy_slot');
    this.addSql('alter table rollup_account drop column granted_scope');
  }
}
