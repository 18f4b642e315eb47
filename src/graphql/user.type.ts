import { GraphQLDateTime } from 'graphql-scalars';
import { Ctx, Field, FieldResolver, ID, ObjectType, Resolver, Root } from 'type-graphql';
import type { AccountRecord } from '../accounts/account.repository.js';
import type { UserRecord } from '../accounts/user.repository.js';
import { Access } from './access.js';
import type { RequestContext } from './context.js';
import { RollupAccountType } from './rollup-account.type.js';

@Access('authenticated')
@ObjectType('User', { description: 'A user of the application.' })
export class UserType {
  @Field(() => ID)
  id!: string;

  @Access(['profile'])
  @Field(() => String, { nullable: true })
  name!: string | null;

  @Access(['profile'])
  @Field(() => String, { nullable: true, description: 'URL of a picture.' })
  picture!: string | null;

  @Access(['email'])
  @Field(() => String, { nullable: true })
  email!: string | null;

  @Field(() => GraphQLDateTime)
  createdAt!: Date;
}

/** `User.rollupAccounts`, loaded for all users of a request at once. */
@Resolver(() => UserType)
export class UserFields {
  @FieldResolver(() => [RollupAccountType], { description: 'The linked Rollup ID identities, oldest first.' })
  rollupAccounts(
    @Root() user: UserRecord,
    @Ctx() context: RequestContext,
  ): Promise<readonly AccountRecord[]> {
    return context.accountsOf(user.id);
  }
}
