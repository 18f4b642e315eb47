import { defineEntity, p } from '@mikro-orm/core';

const UserSchema = defineEntity({
  name: 'User',
  tableName: 'app_user',
  properties: {
    id: p.uuid().primary(),
    name: p.text().nullable(),
    picture: p.text().nullable(),
    email: p.text().nullable(),
    createdAt: p.datetime(3).defaultRaw('clock_timestamp()'),
  },
});

/** A person as our application knows them. Name, picture and email are what they last consented to share. */
export class User extends UserSchema.class {}
UserSchema.setClass(User);
