import { printSchemaWithDirectives } from '@graphql-tools/utils';
import { type GraphQLSchema, isInputObjectType, lexicographicSortSchema } from 'graphql';
import { buildSchema } from 'type-graphql';
import { directives, guardSchema } from './access.js';
import { ConsentedScopesQuery } from './consented-scopes.query.js';
import { LinkRollupAccountMutation } from './link-rollup-account.mutation.js';
import { MeQuery } from './me.query.js';
import { RenewAccessTokenMutation } from './renew-access-token.mutation.js';
import { RollupAccountFields } from './rollup-account.type.js';
import { RollupAccountLiveFields } from './rollup-account-live.fields.js';
import { StartRollupLinkMutation } from './start-rollup-link.mutation.js';
import { UnlinkRollupAccountMutation } from './unlink-rollup-account.mutation.js';
import { UserFields } from './user.type.js';

/** Builds the public schema. Deterministic: `schema/schema.graphql` is its printed form. */
export async function createSchema(): Promise<GraphQLSchema> {
  const schema = await buildSchema({
    resolvers: [
      MeQuery,
      ConsentedScopesQuery,
      StartRollupLinkMutation,
      LinkRollupAccountMutation,
      RenewAccessTokenMutation,
      UnlinkRollupAccountMutation,
      UserFields,
      RollupAccountFields,
      RollupAccountLiveFields,
    ],
    validate: false,
    directives: [...directives],
  });
  const input = schema.getType('LinkRollupAccountInput');
  if (isInputObjectType(input)) input.isOneOf = true;
  guardSchema(schema);
  return schema;
}

/** The schema as text, in an order that does not depend on how it was built. */
export function printPublicSchema(schema: GraphQLSchema): string {
  return `${printSchemaWithDirectives(lexicographicSortSchema(schema))}\n`;
}
