import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Ctx, Field, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { Access } from './access.js';
import type { RequestContext } from './context.js';
import { defineUserErrors, type UserErrorType } from './user-error.js';

const errors = defineUserErrors('StartRollupLink', {
  REDIRECT_URI_NOT_ALLOWED: {
    description: 'The redirect URI is not, as an exact string, one that the server allows.',
    field: 'redirectUri',
  },
  SCOPE_NOT_ALLOWED: {
    description: 'No scope was named, or one that the server does not allow.',
    field: 'scopes',
  },
  PROVIDER_UNAVAILABLE: { description: 'Rollup ID cannot be reached; try again later.' },
});

@InputType()
class StartRollupLinkInput {
  @Field(() => String, {
    description: 'Where Rollup ID sends the browser back to; one of the allowed URIs, exactly.',
  })
  redirectUri!: string;

  @Field(() => [String], { description: 'The scopes to ask for, such as "openid", "profile", "email".' })
  scopes!: string[];

  @Field(() => Boolean, {
    nullable: true,
    defaultValue: false,
    description: 'Show the consent screen even when an earlier consent covers the scopes.',
  })
  forceConsent!: boolean | null;
}

@Access('public')
@ObjectType()
class StartRollupLinkPayload {
  @Field(() => String, { nullable: true, description: 'Send the browser here.' })
  authorizationUrl?: string;

  @Field(() => String, { nullable: true, description: 'Comes back in the callback URL.' })
  state?: string;

  @Field(() => String, {
    nullable: true,
    description: 'A secret that completes the link. Keep it where the link began; never put it into a URL.',
  })
  linkToken?: string;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Until when the link may be completed.' })
  expiresAt?: Date;

  @Field(() => [errors.type])
  userErrors!: readonly UserErrorType[];
}

@Resolver()
export class StartRollupLinkMutation {
  @Access('public')
  @Mutation(() => StartRollupLinkPayload, {
    description: 'Begins a link: stores the attempt and returns where to send the browser.',
  })
  startRollupLink(
    @Arg('input', () => StartRollupLinkInput) input: StartRollupLinkInput,
    @Ctx() context: RequestContext,
  ): Promise<StartRollupLinkPayload> {
    const { redirectUri, scopes, forceConsent } = input;
    return errors.attempt(() =>
      context.beginLink({ redirectUri, scopes, forceConsent: forceConsent ?? false }),
    );
  }
}
