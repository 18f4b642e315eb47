import { GraphQLError } from 'graphql';

/**
 * The error that was thrown, without what GraphQL and Apollo Server wrapped around it. Apollo's own
 * `unwrapResolverError` covers errors of resolvers only, and ours are also thrown before one runs.
 */
export function unwrapError(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? unwrapError(error.originalError) : error;
}
