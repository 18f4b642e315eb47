import type { ApolloServerPlugin } from '@apollo/server';
import { type DocumentNode, GraphQLError, Kind, OperationTypeNode, type SelectionSetNode } from 'graphql';
import type { RequestContext } from './context.js';

/** Counts the mutations of a caller. Throws `RateLimitedError` over the limit. */
export type LimitMutations = (context: RequestContext, mutations: number) => Promise<void>;

const MAX_ERRORS = 10;

/**
 * Limits the mutations of a caller, with each alias counted like a request of its own, and the number of errors in
 * a response.
 */
export function limitRequests(limitMutations: LimitMutations): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async didResolveOperation({ operation, document, contextValue }) {
          if (operation?.operation === OperationTypeNode.SUBSCRIPTION) throw noSubscriptions();
          if (operation?.operation !== OperationTypeNode.MUTATION) return;
          await limitMutations(contextValue, countFields(operation.selectionSet, document));
        },
        async willSendResponse({ response: { body } }) {
          if (body.kind !== 'single' || !body.singleResult.errors) return;
          body.singleResult.errors = body.singleResult.errors.slice(0, MAX_ERRORS);
        },
      };
    },
  };
}

function noSubscriptions(): GraphQLError {
  const extensions = { code: 'OPERATION_RESOLUTION_FAILURE', http: { status: 400 } };
  return new GraphQLError('This server has no subscriptions.', { extensions });
}

/** Root fields with fragments expanded. The document has been validated, so there are no cycles. */
function countFields(set: SelectionSetNode, document: DocumentNode): number {
  let count = 0;
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) count += 1;
    else if (selection.kind === Kind.INLINE_FRAGMENT) count += countFields(selection.selectionSet, document);
    else {
      const name = selection.name.value;
      const fragment = document.definitions.find(
        (definition) => definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name,
      );
      if (fragment?.kind === Kind.FRAGMENT_DEFINITION) count += countFields(fragment.selectionSet, document);
    }
  }
  return count;
}
