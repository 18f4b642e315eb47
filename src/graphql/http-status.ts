import type { ApolloServerPlugin, GraphQLResponse, HTTPGraphQLRequest } from '@apollo/server';
import type { GraphQLError } from 'graphql';
import { ConsentMissingError, ProviderUnavailableError, RateLimitedError } from '../errors.js';
import type { RequestContext } from './context.js';
import { errorResponse, type IsOutage } from './error-response.js';
import { unwrapError } from './format-error.js';

/** Sets the HTTP status and headers that the errors of an operation call for; otherwise Apollo Server's stand. */
export function setHttpStatus(isOutage: IsOutage): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async willSendResponse({ errors, response: { http, body }, request }) {
          if (!errors) return;
          if (isPlainJson(request.http) && errors.every(isRejectedDocument)) http.status = 200;
          const partial = hasData(body);
          const causes = errors.map(unwrapError).filter((cause) => !isAboutField(cause, partial));
          const response = errorResponse(causes, isOutage);
          if (!response) return;
          http.status = response.status;
          for (const [name, value] of Object.entries(response.headers)) http.headers.set(name, value);
        },
      };
    },
  };
}

/** Whether an error is about the data of one field only, so that the status of the response stays. */
function isAboutField(cause: unknown, partial: boolean): boolean {
  return (
    cause instanceof ConsentMissingError ||
    cause instanceof ProviderUnavailableError ||
    (cause instanceof RateLimitedError && partial)
  );
}

function hasData(body: GraphQLResponse['body']): boolean {
  return body.kind === 'single' && (body.singleResult.data ?? undefined) !== undefined;
}

/** Codes of a well-formed request whose document or variables are invalid. */
const REJECTED_DOCUMENT = new Set(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']);

function isRejectedDocument({ extensions }: GraphQLError): boolean {
  return REJECTED_DOCUMENT.has(String(extensions['code']));
}

/**
 * Whether a client takes only `application/json`. With that media type a status other than 200 means that the
 * response may come from an intermediary and is not GraphQL (GraphQL over HTTP, "application/json").
 */
function isPlainJson(http: HTTPGraphQLRequest | undefined): boolean {
  const accept = http?.headers.get('accept') ?? '';
  return accept.includes('application/json') && !accept.includes('graphql-response+json');
}
