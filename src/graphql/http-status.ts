import type { ApolloServerPlugin, GraphQLResponse, HTTPGraphQLRequest } from '@apollo/server';
import type { GraphQLError } from 'graphql';
import {
  ConsentMissingError,
  ForbiddenError,
  ProviderUnavailableError,
  RateLimitedError,
  UnauthenticatedError,
} from '../errors.js';
import type { RequestContext } from './context.js';
import { unwrapError } from './unwrap-error.js';

/**
 * Nobody signed in where somebody must be: 401 with a bare challenge, as no token was wrong (RFC 6750 §3.1).
 * A scope that the bearer lacks: 403 with its name. Too many mutations: 429. A database that cannot be reached: 503, so that proxies and clients know to come back.
 */
export function setHttpStatus(isOutage: (error: unknown) => boolean): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      return {
        async willSendResponse({ errors = [], response: { http, body }, request }) {
          if (errors.length > 0 && isPlainJson(request.http) && errors.every(isRefusedDocument))
            http.status = 200;
          const causes = errors
            .map(unwrapError)
            .filter((cause) => !FIELD_ERRORS.some((type) => cause instanceof type));
          if (causes.some((cause) => cause instanceof UnauthenticatedError)) {
            http.status = 401;
            http.headers.set('www-authenticate', 'Bearer');
          } else if (causes.some((cause) => cause instanceof ForbiddenError)) {
            const scopes = causes.flatMap((cause) =>
              cause instanceof ForbiddenError ? cause.requiredScopes : [],
            );
            http.status = 403;
            http.headers.set(
              'www-authenticate',
              `Bearer error="insufficient_scope", scope="${[...new Set(scopes)].join(' ')}"`,
            );
          } else if (causes.some((cause) => cause instanceof RateLimitedError) && !hasData(body)) {
            const limited = causes.find((cause) => cause instanceof RateLimitedError);
            http.status = 429;
            http.headers.set('retry-after', String(Math.ceil((limited?.retryAfterMs ?? 1_000) / 1_000)));
          } else if (causes.some(isOutage)) {
            http.status = 503;
            http.headers.set('retry-after', '1');
          }
        },
      };
    },
  };
}

/** Errors about the data of one field, which leave the status of the response as it is. */
const FIELD_ERRORS = [ConsentMissingError, ProviderUnavailableError];

/** A field that had to go without leaves the rest of an answer as good as any. */
function hasData(body: GraphQLResponse['body']): boolean {
  return body.kind === 'single' && (body.singleResult.data ?? undefined) !== undefined;
}

/** Codes of a well-formed request whose document or variables are not. */
const REFUSED_DOCUMENT = new Set(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']);

function isRefusedDocument({ extensions }: GraphQLError): boolean {
  return REFUSED_DOCUMENT.has(String(extensions['code']));
}

/**
 * A client that takes only `application/json` cannot tell an answer of the server from one of something in between,
 * so a status other than 200 says there that this was no GraphQL answer (GraphQL over HTTP, "application/json").
 */
function isPlainJson(http: HTTPGraphQLRequest | undefined): boolean {
  const accept = http?.headers.get('accept') ?? '';
  return accept.includes('application/json') && !accept.includes('graphql-response+json');
}
