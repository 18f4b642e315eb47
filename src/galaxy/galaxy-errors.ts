import { type AppError, ProviderMisconfiguredError, ProviderUnavailableError } from '../errors.js';
import { asObject, type JsonObject } from '../json.js';
import type { ProviderResponse } from '../provider-call.js';

/** An entry of `errors` in a GraphQL response (GraphQL specification §7.1.2). Galaxy masks some to `{}`. */
export type GraphqlError = JsonObject;

/** Galaxy rejects the access token. These keep their message where its other errors are masked. */
const TOKEN_ERRORS = new Set([
  'expired token',
  'invalid token',
  'token verification failed',
  'token claim validation failed',
  'Invalid JWT',
]);
/** Galaxy's guard rejects the API key: missing or wrong. */
const KEY_ERRORS = new Set([
  'No API Key provided.',
  'Unable to validate given API key.',
  'Invalid API key provided.',
  'You are not authenticated!',
  'You are not authorized!',
]);
/** Galaxy's guard rejects the token for this key: issued to another application, or under another issuer name. */
const MISMATCH_ERRORS = new Set([
  "Client ID in API key doesn't match with the one in JWT.",
  'The access token issuer does not match',
]);
const KNOWN_ERRORS = new Set([...TOKEN_ERRORS, ...KEY_ERRORS, ...MISMATCH_ERRORS]);
const RETRY_LATER = new Set([408, 425, 429]);

/** Reads the `errors` of a response. An entry that is not an object counts as masked. */
export function readErrors(errors: unknown): GraphqlError[] {
  return Array.isArray(errors) ? errors.map((error) => asObject(error) ?? {}) : [];
}

/** The error of a response that would be the same for every account; undefined when there is none. */
export function globalError(
  { status, retryAfterMs }: ProviderResponse,
  errors: readonly GraphqlError[],
  hasData: boolean,
  cause: Error,
): AppError | undefined {
  const isEmpty = status === 200 && !hasData && errors.length === 0;
  if (status >= 500 || RETRY_LATER.has(status) || isEmpty) {
    return new ProviderUnavailableError(retryAfterMs, { cause });
  }
  return errors.some(isMisconfiguration) ? new ProviderMisconfiguredError({ cause }) : undefined;
}

/** The error of a response that rejects the access token of this account; undefined when it does not. */
export function tokenError(errors: readonly GraphqlError[], cause: Error): AppError | undefined {
  if (errors.some(hasMessageIn(MISMATCH_ERRORS))) return new ProviderMisconfiguredError({ cause });
  return errors.some(hasMessageIn(TOKEN_ERRORS)) ? new ProviderUnavailableError(0, { cause }) : undefined;
}

/** Whether Galaxy stripped what the error was about. */
export function isMasked({ message, path }: GraphqlError): boolean {
  return message === undefined && path === undefined;
}

/** For the log: the status, and Galaxy's messages only when they are known. */
export function describeErrors(status: number, errors: readonly GraphqlError[]): string {
  const messages = errors.map((error) => {
    if (hasMessageIn(KNOWN_ERRORS)(error)) return String(error['message']);
    if (isMasked(error)) return 'an error without a message';
    return isMisconfiguration(error) ? 'a rejected query' : 'another error';
  });
  return `Galaxy responded ${status} ${messages.length > 0 ? `with: ${messages.join('; ')}` : 'without usable data'}`;
}

/** A rejected key, or a request error of GraphQL: it has `locations` and no `path`, so the query is invalid. */
function isMisconfiguration(error: GraphqlError): boolean {
  return hasMessageIn(KEY_ERRORS)(error) || (error['locations'] !== undefined && error['path'] === undefined);
}

function hasMessageIn(messages: ReadonlySet<string>): (error: GraphqlError) => boolean {
  return ({ message }) => messages.has(String(message));
}
