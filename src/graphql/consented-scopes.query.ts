import { Ctx, Query, Resolver } from 'type-graphql';
import { Access } from './access.js';
import { ConsentedScopeType } from './consented-scope.type.js';
import { type RequestContext, requireViewer } from './context.js';
import type { ConsentedScope } from './scope-descriptions.js';

@Resolver()
export class ConsentedScopesQuery {
  @Access('authenticated')
  @Query(() => [ConsentedScopeType], {
    description:
      "What the caller's access token allows. Needs a valid access token; the identity need not be linked.",
  })
  consentedScopes(@Ctx() context: RequestContext): readonly ConsentedScope[] {
    return context.describeScopes(requireViewer(context).scopes);
  }
}
