import {
  ClientMismatchError,
  CodeRejectedError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  TokenRejectedError,
} from '../errors.js';
import { parseObject } from '../json.js';
import type { ProviderResponse } from '../provider-call.js';

/** Rollup ID's message when it may no longer release the data behind a scope: the user revoked the grant. */
const REVOKED = 'Authorized data error. Re-authorization by user required';
const BAD_CREDENTIALS = 'invalid client credentials';
const CLIENT_MISMATCH = 'mismatch client id';
/** Rollup ID's messages for a refresh token that will never work again; all with status 401. */
const DEAD_GRANT = new Set([
  'expired token',
  'invalid token',
  'token verification failed',
  'token claim validation failed',
  REVOKED,
]);
/** Rollup ID's messages for an invalid code. Some versions send them with status 500. */
const INVALID_CODE = new Set([
  'expired code',
  CLIENT_MISMATCH,
  'missing identity name',
  'missing account name',
  'missing client id',
  REVOKED,
]);
/** Error codes of a standard provider that are caused by this server's own request or settings (RFC 6749 §5.2). */
const CLIENT_ERRORS = new Set([
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_request',
  'invalid_scope',
]);

/** The error of a rejected refresh. */
export function refreshError(response: ProviderResponse): Error {
  const { status, retryAfterMs } = response;
  const { error, message } = readError(response);
  const options = { cause: new Error(describeResponse(response)) };
  if (error === 'invalid_grant' || (status === 401 && DEAD_GRANT.has(message))) {
    return new GrantDeadError(options);
  }
  // Rollup ID compares the client before it verifies the token, so anybody can write one that gets this response.
  if (status === 400 && message === CLIENT_MISMATCH) return new ClientMismatchError(options);
  if (isMisconfigured(response)) return new ProviderMisconfiguredError(options);
  return new ProviderUnavailableError(retryAfterMs, options);
}

/** The error of a rejected authorization code. */
export function exchangeError(response: ProviderResponse): Error {
  const { error, message } = readError(response);
  const options = { cause: new Error(describeResponse(response)) };
  if (error === 'invalid_grant' || error === 'invalid_request' || INVALID_CODE.has(message)) {
    return new CodeRejectedError(options);
  }
  if (isMisconfigured(response)) return new ProviderMisconfiguredError(options);
  return new ProviderUnavailableError(response.retryAfterMs, options);
}

/** The error of a 401 of userinfo: the grant was revoked, or only this access token was rejected. */
export function userinfoError(response: ProviderResponse): Error {
  const options = { cause: new Error(describeResponse(response)) };
  return readError(response).message === REVOKED
    ? new GrantDeadError(options)
    : new TokenRejectedError('userinfo', options);
}

function isMisconfigured(response: ProviderResponse): boolean {
  const { error, message } = readError(response);
  return CLIENT_ERRORS.has(error) || (response.status === 400 && message === BAD_CREDENTIALS);
}

/** Rollup ID's error bodies have a `message` and no `error`; a standard provider's have an `error`. */
function readError({ status, text }: ProviderResponse): { error: string; message: string } {
  const { error, message } = (status >= 400 && parseObject(text)) || {};
  return {
    error: typeof error === 'string' ? error : '',
    message: typeof message === 'string' ? message : '',
  };
}

/** For the log: the status, and the provider's message if it is known or else its error code, cut short. */
export function describeResponse(response: ProviderResponse): string {
  const { error, message } = readError(response);
  const known = DEAD_GRANT.has(message) || INVALID_CODE.has(message) || message === BAD_CREDENTIALS;
  const detail = known ? message : error.replaceAll(/[^a-z_]/g, '').slice(0, 40);
  return `the provider responded ${response.status} ${detail}`.trim();
}
