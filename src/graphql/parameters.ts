import type { GraphQLResolveInfo } from 'graphql';
import { createParameterDecorator } from 'type-graphql';
import type { AccountRecord } from '../accounts/account.repository.js';
import { requiredScopes } from './access.js';
import type { RequestContext } from './context.js';

/** The state of the account's tokens. */
export const AccountTokens = accountParameter((context, { id }) => context.tokensOf(id));

/** What Galaxy says of the account, if its consent covers the field. */
export const AccountGalaxy = accountParameter((context, account, info) =>
  context.galaxyOf(account, requiredScopes(info)),
);

/** What userinfo says of the account, if its consent covers the field. */
export const AccountUserinfo = accountParameter((context, account, info) =>
  context.userinfoOf(account, requiredScopes(info)),
);

/** A parameter of a resolver of an account's field; loaded once for all fields of a request. */
function accountParameter(
  read: (context: RequestContext, account: AccountRecord, info: GraphQLResolveInfo) => Promise<unknown>,
) {
  return () =>
    createParameterDecorator<RequestContext>(({ root, context, info }) =>
      read(context, root as AccountRecord, info),
    );
}
