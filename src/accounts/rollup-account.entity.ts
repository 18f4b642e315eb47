import { defineEntity, p } from '@mikro-orm/core';
import { User } from './user.entity.js';

const RollupAccountSchema = defineEntity({
  name: 'RollupAccount',
  tableName: 'rollup_account',
  uniques: [{ name: 'rollup_account_identity_unique', properties: ['issuer', 'sub'] }],
  indexes: [
    {
      name: 'rollup_account_userinfo_due_index',
      expression: `create index rollup_account_userinfo_due_index on rollup_account (issuer, userinfo_due_at)
        where userinfo_due_at is not null`,
    },
  ],
  properties: {
    id: p.uuid().primary(),
    user: () =>
      p.manyToOne(User).index('rollup_account_user_id_index').updateRule('no action').deleteRule('restrict'),
    issuer: p.text(),
    sub: p.text(),
    /** Every scope ever consented to, space-separated. What the tokens allow now is with the tokens. */
    grantedScope: p.text().default(''),
    /** When userinfo is read for what a sign-in could not learn from it; null when there is nothing to learn. */
    userinfoDueAt: p.datetime(3).nullable(),
    linkedAt: p.datetime(3).defaultRaw('clock_timestamp()'),
  },
});

/** One linked Rollup ID identity. The unique (issuer, sub) decides who owns it, also in a race. */
export class RollupAccount extends RollupAccountSchema.class {}
RollupAccountSchema.setClass(RollupAccount);
