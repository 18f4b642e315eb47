import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Ctx, Field, ID, InputType, Int, Mutation, ObjectType, Resolver } from 'type-graphql';
import { BadUserInputError } from '../errors.js';
import { Access } from './access.js';
import type { RequestContext } from './context.js';
import { RollupAccountType } from './rollup-account.type.js';
import { defineUserErrors, type UserErrorType } from './user-error.js';

const errors = defineUserErrors('RenewAccessToken', {
  ACCOUNT_NOT_FOUND: { description: 'There is no such account of yours.', field: 'accountId' },
});

/** A token lives an hour: a larger minimum would refresh it again and again. */
const MAX_MIN_TTL_SECONDS = 1_800;
const DEFAULT_MIN_TTL_SECONDS = 60;

@InputType()
class RenewAccessTokenInput {
  @Field(() => ID, { nullable: true, description: "Default: the account of the caller's access token." })
  accountId?: string | null;

  @Field(() => Int, {
    nullable: true,
    defaultValue: DEFAULT_MIN_TTL_SECONDS,
    description: `Least remaining life, 0 to ${MAX_MIN_TTL_SECONDS} seconds; a token closer to its end is refreshed first.`,
  })
  minTtlSeconds?: number | null;
}

@Access('public')
@ObjectType()
class RenewAccessTokenPayload {
  @Field(() => String, { nullable: true })
  accessToken?: string;

  @Field(() => GraphQLDateTime, { nullable: true })
  accessTokenExpiresAt?: Date;

  @Field(() => RollupAccountType, { nullable: true })
  account?: RollupAccountType;

  @Field(() => [errors.type])
  userErrors!: readonly UserErrorType[];
}

@Resolver()
export class RenewAccessTokenMutation {
  @Access('authenticated')
  @Mutation(() => RenewAccessTokenPayload, {
    description:
      "Returns a fresh access token of the caller's own account, refreshing it first when it is near its end.",
  })
  renewAccessToken(
    @Arg('input', () => RenewAccessTokenInput) input: RenewAccessTokenInput,
    @Ctx() context: RequestContext,
  ): Promise<RenewAccessTokenPayload> {
    const minTtlSeconds = input.minTtlSeconds ?? DEFAULT_MIN_TTL_SECONDS;
    if (minTtlSeconds < 0 || minTtlSeconds > MAX_MIN_TTL_SECONDS) {
      throw new BadUserInputError(`minTtlSeconds must be from 0 to ${MAX_MIN_TTL_SECONDS}.`);
    }
    return errors.attempt(() => context.renewAccessToken(input.accountId ?? undefined, minTtlSeconds));
  }
}
