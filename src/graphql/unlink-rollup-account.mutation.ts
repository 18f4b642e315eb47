import { Arg, Ctx, Field, ID, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { Access } from './access.js';
import type { RequestContext } from './context.js';
import { defineUserErrors, type UserErrorType } from './user-error.js';

const errors = defineUserErrors('UnlinkRollupAccount', {
  ACCOUNT_NOT_FOUND: { description: 'There is no such account of yours.', field: 'accountId' },
});

@InputType()
class UnlinkRollupAccountInput {
  @Field(() => ID)
  accountId!: string;
}

@Access('public')
@ObjectType()
class UnlinkRollupAccountPayload {
  @Field(() => ID, { nullable: true })
  unlinkedAccountId?: string;

  @Field(() => [errors.type])
  userErrors!: readonly UserErrorType[];
}

@Resolver()
export class UnlinkRollupAccountMutation {
  @Access('authenticated')
  @Mutation(() => UnlinkRollupAccountPayload, {
    description:
      'Ends the link: the stored tokens are erased. With the last linked identity the user is deleted too, because nothing leads to it any more.',
  })
  unlinkRollupAccount(
    @Arg('input', () => UnlinkRollupAccountInput) input: UnlinkRollupAccountInput,
    @Ctx() context: RequestContext,
  ): Promise<UnlinkRollupAccountPayload> {
    return errors.attempt(async () => {
      await context.unlink(input.accountId);
      return { unlinkedAccountId: input.accountId };
    });
  }
}
