import { randomUUID } from 'node:crypto';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import {
  AppError,
  ForbiddenError,
  OverloadedError,
  ProviderUnavailableError,
  RateLimitedError,
} from '../errors.js';

/** The message, and what a client may act on. */
export interface PublicError {
  readonly message: string;
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** Our codes of top-level errors. */
export const PUBLIC_CODES = new Set([
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'BAD_USER_INPUT',
  'NOT_LINKED',
  'REAUTHENTICATION_REQUIRED',
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_MISCONFIGURED',
  'RATE_LIMITED',
]);
/** Codes of Apollo Server for malformed or invalid requests. */
export const TRANSPORT_CODES = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_NOT_SUPPORTED',
]);

/** Is called with every masked error; the response carries the `correlationId`. */
export type ReportInternalError = (error: unknown, correlationId: string) => void;

/**
 * Creates Apollo Server's `formatError`, independent of `NODE_ENV`: our errors keep their code and message, Apollo's
 * own stay (in production without suggestions), all others are masked as internal errors with a `correlationId`.
 */
export function createErrorFormatter(
  report: ReportInternalError,
  production: boolean,
  redactSecrets: (text: string) => string,
) {
  return (formatted: GraphQLFormattedError, thrown: unknown): GraphQLFormattedError => {
    const error = unwrapError(thrown);
    const place = {
      ...(formatted.path && { path: formatted.path }),
      ...(formatted.locations && { locations: formatted.locations }),
    };
    if (error instanceof AppError && PUBLIC_CODES.has(error.code)) {
      return { message: error.message, ...place, extensions: publicExtensions(error) };
    }
    const code = formatted.extensions?.['code'];
    if (typeof code === 'string' && TRANSPORT_CODES.has(code)) {
      const message = redactSecrets(withoutValue(formatted.message));
      return { message: production ? withoutSuggestion(message) : message, ...place, extensions: { code } };
    }
    const correlationId = randomUUID();
    report(error, correlationId);
    return { ...internalError(correlationId), ...place };
  };
}

/** An internal error as a client sees it: the log has its cause under the same `correlationId`. */
export function internalError(
  correlationId: string,
  message = 'Something went wrong on our side.',
): PublicError {
  return { message, extensions: { code: 'INTERNAL_SERVER_ERROR', correlationId } };
}

/** The code, and what a client needs to react to it. */
export function publicExtensions(error: AppError): Record<string, unknown> {
  if (
    error instanceof ProviderUnavailableError ||
    error instanceof RateLimitedError ||
    error instanceof OverloadedError
  ) {
    return { code: error.code, retryAfterMs: error.retryAfterMs };
  }
  if (error instanceof ForbiddenError) {
    return { code: error.code, requiredScopes: error.requiredScopes, missingScopes: error.missingScopes };
  }
  return { code: error.code };
}

/** Removes the invalid value that GraphQL quotes, which may be a token; the reason stays. */
function withoutValue(message: string): string {
  const [, name, rest] = /^(Variable "\$\w+") got invalid value (.*)$/s.exec(message) ?? [];
  if (name === undefined || rest === undefined) {
    return message.replace(/( cannot represent [^:]*): .*$/s, '$1.').replace(/,? found .*$/s, '.');
  }
  const place = / at "([\w.[\]]+)"; [^;]*$/.exec(rest)?.[1];
  const reason = withoutValue(rest.slice(rest.lastIndexOf('; ') + 2));
  return `${name} got an invalid value${place === undefined ? '' : ` at "${place}"`}; ${reason}`;
}

/** Removes suggested names of the schema. Apollo's `hideSchemaDetailsFromClientErrors` misses those in variables. */
function withoutSuggestion(message: string): string {
  return message.replace(/ ?Did you mean .*\?$/s, '');
}

/**
 * The error that was thrown, without what GraphQL and Apollo Server wrapped around it. Apollo's own
 * `unwrapResolverError` covers errors of resolvers only, and ours are also thrown before one runs.
 */
export function unwrapError(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? unwrapError(error.originalError) : error;
}
