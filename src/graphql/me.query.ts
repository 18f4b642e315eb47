import { Ctx, Query, Resolver } from 'type-graphql';
import type { UserRecord } from '../accounts/user.repository.js';
import { Access } from './access.js';
import type { RequestContext } from './context.js';
import { UserType } from './user.type.js';

@Resolver()
export class MeQuery {
  @Access('public')
  @Query(() => UserType, {
    nullable: true,
    description:
      'The caller. Null when nobody is signed in, and when the access token is good but its identity is not linked here.',
  })
  async me(@Ctx() context: RequestContext): Promise<UserRecord | null> {
    return (await context.user()) ?? null;
  }
}
