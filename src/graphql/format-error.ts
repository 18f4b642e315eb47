import { randomUUID } from 'node:crypto';
import type { GraphQLFormattedError } from 'graphql';
import {
  AppError,
  ForbiddenError,
  OverloadedError,
  ProviderUnavailableError,
  RateLimitedError,
} from '../errors.js';
import { unwrapError } from './unwrap-error.js';

/** The message, and what a client may act on. */
export interface PublicError {
  readonly message: string;
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** Our codes that a client may meet as a top-level error. */
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
/** Codes of Apollo Server for requests that are not well-formed or not valid. */
export const TRANSPORT_CODES = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_NOT_SUPPORTED',
]);

/** Told of every error that a client is not told about; `correlationId` is in the client's answer. */
export type ReportInternalError = (error: unknown, correlationId: string) => void;

/**
 * Translates errors at the edge, whatever `NODE_ENV` says: ours keep their code and message, Apollo's own stay
 * as they are (in production without suggestions), and everything else is an internal error with nothing but a `correlationId`.
 */
export function createErrorFormatter(
  report: ReportInternalError,
  production: boolean,
  withoutSecrets: (text: string) => string,
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
      const message = withoutSecrets(withoutValue(formatted.message));
      return {
        message: production ? withoutSuggestion(message) : message,
        ...place,
        extensions: { code },
      };
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

/** GraphQL quotes a value that it does not take, and a value may be a token: what was wrong with it is enough. */
function withoutValue(message: string): string {
  const [, name, rest] = /^(Variable "\$\w+") got invalid value (.*)$/s.exec(message) ?? [];
  if (name === undefined || rest === undefined) {
    return message.replace(/( cannot represent [^:]*): .*$/s, '$1.').replace(/,? found .*$/s, '.');
  }
  const place = / at "([\w.[\]]+)"; [^;]*$/.exec(rest)?.[1];
  const reason = withoutValue(rest.slice(rest.lastIndexOf('; ') + 2));
  return `${name} got an invalid value${place === undefined ? '' : ` at "${place}"`}; ${reason}`;
}

/** Names of the schema are not offered to who guesses at them; Apollo's own option forgets those in variables. */
function withoutSuggestion(message: string): string {
  return message.replace(/ ?Did you mean .*\?$/s, '');
}
