import type { GraphQLResolveInfo } from 'graphql';
import { createParameterDecorator } from 'type-graphql';
import type { AccountRecord } from '../accounts/account.repository.js';
import { requiredScopes } from './access.js';
import type { RequestContext } from './context.js';

/** The state of the account's tokens; declare it as `TokenState`. Throws `NotLinkedError`. */
export const AccountTokens = accountParameter((context, { id }) => context.tokensOf(id));

/** The account's reading of Galaxy; declare it as `GalaxyReading`. Throws as `RequestContext.galaxyOf`. */
export const AccountGalaxy = accountParameter((context, account, info) =>
  context.galaxyOf(account, requiredScopes(info)),
);

/** The account's userinfo; declare it as `Userinfo`. Throws as `RequestContext.userinfoOf`. */
export const AccountUserinfo = accountParameter((context, account, info) =>
  context.userinfoOf(account, requiredScopes(info)),
);

/**
 * A parameter of a resolver of an account's field, loaded once for all fields of a request. Its declared type is not
 * checked against what is loaded: a decorator cannot.
 */
function accountParameter(
  read: (context: RequestContext, account: AccountRecord, info: GraphQLResolveInfo) => Promise<unknown>,
) {
  return () =>
    createParameterDecorator<RequestContext>(({ root, context, info }) =>
      read(context, root as AccountRecord, info),
    );
}
