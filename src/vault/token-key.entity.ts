import { defineEntity, p } from '@mikro-orm/core';

const TokenKeySchema = defineEntity({
  name: 'TokenKey',
  tableName: 'token_key',
  properties: {
    kid: p.text().primary(),
    /** Tells the key from other bytes under the same `kid`; see `checkValueOf`. */
    checkValue: p.text(),
    createdAt: p.datetime(3).defaultRaw('clock_timestamp()'),
    /** No row needs the key any more, and it wraps no other one. */
    retiredAt: p.datetime(3).nullable(),
    /** The key was lost: its accounts were ended. */
    givenUpAt: p.datetime(3).nullable(),
  },
});

/** A key that a ring has or had: never the key itself. A row stays for ever, so that no `kid` is used twice. */
export class TokenKey extends TokenKeySchema.class {}
TokenKeySchema.setClass(TokenKey);
