import { GraphQLDateTime } from 'graphql-scalars';
import type { GraphQLResolveInfo } from 'graphql';
import {
  Arg,
  Ctx,
  Field,
  FieldResolver,
  ID,
  Info,
  ObjectType,
  registerEnumType,
  Resolver,
  Root,
} from 'type-graphql';
import type { AccountRecord } from '../accounts/account.repository.js';
import type { TokenState, TokenStatus } from '../token-set.js';
import { Access, requiredScopesOf } from './access.js';
import { ConsentedScopeType } from './consented-scope.type.js';
import { type RequestContext, requireViewer } from './context.js';
import { AccountTokens } from './parameters.js';
import type { ConsentedScope } from './scope-descriptions.js';

export const RollupAccountStatus = {
  ACTIVE: 'ACTIVE',
  REAUTHENTICATION_REQUIRED: 'REAUTHENTICATION_REQUIRED',
} as const;

registerEnumType(RollupAccountStatus, {
  name: 'RollupAccountStatus',
  description: 'Whether Rollup ID still accepts the stored tokens.',
  valuesConfig: {
    REAUTHENTICATION_REQUIRED: {
      description: 'Only a new link helps: send the user through startRollupLink.',
    },
  },
});

@Access('authenticated')
@ObjectType('RollupAccount', { description: 'A Rollup ID identity linked to a user.' })
export class RollupAccountType {
  @Field(() => ID)
  id!: string;

  @Field(() => String, { description: 'The identity URN, byte for byte.' })
  sub!: string;

  @Field(() => String, { description: 'The issuer that the identity belongs to.' })
  issuer!: string;

  @Field(() => GraphQLDateTime)
  linkedAt!: Date;
}

/** What depends on the tokens: clear columns. */
@Resolver(() => RollupAccountType)
export class RollupAccountFields {
  @FieldResolver(() => RollupAccountStatus)
  status(@AccountTokens() { status }: TokenState): TokenStatus {
    return status;
  }

  @FieldResolver(() => [ConsentedScopeType], { description: 'What the stored access token allows.' })
  scopes(@AccountTokens() { scopes }: TokenState, @Ctx() context: RequestContext): readonly ConsentedScope[] {
    return context.describeScopes(scopes);
  }

  @FieldResolver(() => [ConsentedScopeType], {
    description: 'All that the user ever consented to here, whatever the stored access token allows now.',
  })
  grantedScopes(
    @AccountTokens() { scopes }: TokenState,
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
  ): readonly ConsentedScope[] {
    return context.describeScopes([...new Set([...account.grantedScopes, ...scopes])]);
  }

  @FieldResolver(() => [String], {
    description:
      'The scopes that these fields need and that the stored access token or the one presented lacks: what to ask for in startRollupLink, beside those of `scopes`.',
  })
  missingScopes(
    @Arg('for', () => [String], { description: 'Schema coordinates such as "RollupAccount.profile".' })
    coordinates: string[],
    @AccountTokens() { scopes }: TokenState,
    @Ctx() context: RequestContext,
    @Info() { schema }: GraphQLResolveInfo,
  ): string[] {
    const presented = requireViewer(context).scopes;
    return requiredScopesOf(schema, coordinates).filter(
      (scope) => !scopes.includes(scope) || !presented.includes(scope),
    );
  }

  @FieldResolver(() => GraphQLDateTime, { nullable: true })
  accessTokenExpiresAt(@AccountTokens() { accessTokenExpiresAt }: TokenState): Date {
    return accessTokenExpiresAt;
  }

  @FieldResolver(() => GraphQLDateTime, { nullable: true, description: 'Null until the first refresh.' })
  lastRefreshedAt(@AccountTokens() { lastRefreshedAt }: TokenState): Date | null {
    return lastRefreshedAt;
  }
}
