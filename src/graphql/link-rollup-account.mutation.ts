import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Ctx, Field, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import type { CompletedLink } from '../accounts/store-link.js';
import { BadUserInputError } from '../errors.js';
import { Access } from './access.js';
import type { RequestContext } from './context.js';
import { RollupAccountType } from './rollup-account.type.js';
import { defineUserErrors, type UserErrorType } from './user-error.js';
import { UserType } from './user.type.js';

const errors = defineUserErrors('LinkRollupAccount', {
  ACCESS_DENIED: { description: 'The user cancelled at Rollup ID.' },
  LINK_NOT_FOUND: { description: "The attempt is unknown, used, expired or another caller's." },
  CODE_REJECTED: { description: 'Rollup ID did not accept the code; begin again.', field: 'callback.url' },
  TOKEN_INVALID: { description: 'A token does not verify.' },
  SUBJECT_MISMATCH: { description: 'The tokens belong to different identities.' },
  LINKED_TO_ANOTHER_USER: { description: 'The identity is linked to another user.' },
  PROVIDER_UNAVAILABLE: { description: 'Rollup ID cannot be reached; begin again later.' },
});

@InputType()
class RollupCallbackInput {
  @Field(() => String, { description: 'The complete URL that the browser came back to.' })
  url!: string;

  @Field(() => String, { description: 'The secret from startRollupLink.' })
  linkToken!: string;
}

@InputType()
class RollupTokensInput {
  @Field(() => String)
  accessToken!: string;

  @Field(() => String)
  idToken!: string;

  @Field(() => String, { nullable: true, description: 'Without one the link ends with the access token.' })
  refreshToken?: string | null;
}

/** `@oneOf` is set on the built type, see schema.ts: TypeGraphQL has no decorator for it. */
@InputType()
export class LinkRollupAccountInput {
  @Field(() => RollupCallbackInput, { nullable: true })
  callback?: RollupCallbackInput;

  @Field(() => RollupTokensInput, { nullable: true })
  tokens?: RollupTokensInput;
}

@Access('public')
@ObjectType()
class LinkRollupAccountPayload {
  @Field(() => UserType, { nullable: true })
  user?: UserType;

  @Field(() => RollupAccountType, { nullable: true })
  account?: RollupAccountType;

  @Field(() => Boolean, { nullable: true, description: 'Whether this link created the user.' })
  isNewUser?: boolean;

  @Field(() => String, {
    nullable: true,
    description: "The identity's access token: the bearer of further requests.",
  })
  accessToken?: string;

  @Field(() => GraphQLDateTime, { nullable: true })
  accessTokenExpiresAt?: Date;

  @Field(() => [errors.type])
  userErrors!: readonly UserErrorType[];
}

@Resolver()
export class LinkRollupAccountMutation {
  @Access('public')
  @Mutation(() => LinkRollupAccountPayload, {
    description: "Completes a link from the provider's callback, or takes over tokens obtained elsewhere.",
  })
  linkRollupAccount(
    @Arg('input', () => LinkRollupAccountInput) input: LinkRollupAccountInput,
    @Ctx() context: RequestContext,
  ): Promise<LinkRollupAccountPayload> {
    return errors.attempt(() => link(input, context));
  }
}

function link({ callback, tokens }: LinkRollupAccountInput, context: RequestContext): Promise<CompletedLink> {
  if (callback) return context.completeLink(callback.url, callback.linkToken);
  if (!tokens) throw new BadUserInputError('Give either callback or tokens.');
  const { accessToken, idToken, refreshToken } = tokens;
  return context.takeOverTokens({ accessToken, idToken, ...(refreshToken && { refreshToken }) });
}
