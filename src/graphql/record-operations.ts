import type { ApolloServerPlugin, GraphQLRequestListener } from '@apollo/server';
import type { RequestContext } from './context.js';
import { addCodes } from './operation-record.js';

/** Fills the record in the context of each request. */
export function recordOperations(): ApolloServerPlugin<RequestContext> {
  const listener: GraphQLRequestListener<RequestContext> = {
    async didResolveOperation({ operation, contextValue }) {
      const record = contextValue.request.operation;
      record.type = operation?.operation;
      record.name = operation?.name?.value;
    },
    async willSendResponse({ contextValue, response: { body } }) {
      if (body.kind === 'single' && body.singleResult.errors) {
        addCodes(contextValue.request.operation, body.singleResult.errors);
      }
    },
  };
  return {
    async requestDidStart({ contextValue }) {
      contextValue.request.operation.startedAt = performance.now();
      return listener;
    },
  };
}
