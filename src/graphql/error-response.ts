import {
  DeadlineExceededError,
  ForbiddenError,
  OverloadedError,
  ProviderUnavailableError,
  RateLimitedError,
  TokenRejectedError,
  UnauthenticatedError,
} from '../errors.js';

/** The status and the headers that errors give an HTTP response. */
export interface ErrorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Whether an error means that the database cannot be reached now. */
export type IsOutage = (error: unknown) => boolean;

/** The response to those of these errors that are of one class; undefined when none is. */
type Row = (errors: readonly unknown[]) => ErrorResponse | undefined;

/** In order of precedence: of several errors the first row that matches one decides. */
const TABLE: readonly Row[] = [
  row(UnauthenticatedError, 401, ([error]) => ({
    // RFC 6750 §3.1: no error code when no token was presented.
    'www-authenticate':
      error?.cause instanceof TokenRejectedError ? 'Bearer error="invalid_token"' : 'Bearer',
  })),
  row(ForbiddenError, 403, (errors) => {
    const scopes = new Set(errors.flatMap(({ requiredScopes }) => requiredScopes));
    return { 'www-authenticate': `Bearer error="insufficient_scope", scope="${[...scopes].join(' ')}"` };
  }),
  row(RateLimitedError, 429, ([error]) => retryAfter(error?.retryAfterMs)),
  row(OverloadedError, 503, ([error]) => retryAfter(error?.retryAfterMs)),
  row(ProviderUnavailableError, 503, ([error]) => retryAfter(error?.retryAfterMs)),
  row(DeadlineExceededError, 503, () => retryAfter()),
];

/** Status and headers for a response with these errors; undefined when none of them has a status of its own. */
export function errorResponse(errors: readonly unknown[], isOutage: IsOutage): ErrorResponse | undefined {
  for (const respond of TABLE) {
    const response = respond(errors);
    if (response) return response;
  }
  return errors.some(isOutage) ? { status: 503, headers: retryAfter() } : undefined;
}

function row<E extends Error>(
  type: new (...parameters: never[]) => E,
  status: number,
  headersOf: (errors: readonly E[]) => ErrorResponse['headers'],
): Row {
  return (errors) => {
    const matching = errors.filter((error): error is E => error instanceof type);
    return matching.length > 0 ? { status, headers: headersOf(matching) } : undefined;
  };
}

/** Whole seconds, at least one (RFC 9110 §10.2.3). */
function retryAfter(ms = 1_000): ErrorResponse['headers'] {
  return { 'retry-after': String(Math.max(1, Math.ceil(ms / 1_000))) };
}
