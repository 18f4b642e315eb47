import {
  CodeRejectedError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  TokenRejectedError,
} from '../errors.js';
import { parseObject } from '../json.js';
import type { ProviderResponse } from '../provider-call.js';

/** Rollup ID's words for data behind a scope that it may not give any more: the user revoked the grant. */
const REVOKED = 'Authorized data error. Re-authorization by user required';
/** Rollup ID's words for a refresh token that will never work again; all come with status 401. */
const DEAD_GRANT = new Set([
  'expired token',
  'invalid token',
  'token verification failed',
  'token claim validation failed',
  REVOKED,
]);
/** Rollup ID's words for a code that is of no use. Some versions say them with status 500. */
const BAD_CODE = new Set([
  'expired code',
  'mismatch client id',
  'missing identity name',
  'missing account name',
  'missing client id',
  REVOKED,
]);

/** What a standard provider says when this server's own request is at fault (RFC 6749 §5.2). */
const CLIENT_FAULTS = new Set([
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_request',
  'invalid_scope',
]);

/** A refresh that was refused. */
export function refreshFailure(answer: ProviderResponse): Error {
  const { error, message } = readError(answer);
  const options = { cause: new Error(describeResponse(answer)) };
  if (error === 'invalid_grant' || (answer.status === 401 && DEAD_GRANT.has(message)))
    return new GrantDeadError(options);
  if (isMisconfigured(answer) || (answer.status === 400 && message === 'mismatch client id')) {
    return new ProviderMisconfiguredError(options);
  }
  return new ProviderUnavailableError(answer.retryAfterMs, options);
}

/** A code that was refused. */
export function exchangeFailure(answer: ProviderResponse): Error {
  const { error, message } = readError(answer);
  const options = { cause: new Error(describeResponse(answer)) };
  if (error === 'invalid_grant' || error === 'invalid_request' || BAD_CODE.has(message)) {
    return new CodeRejectedError(options);
  }
  if (isMisconfigured(answer)) return new ProviderMisconfiguredError(options);
  return new ProviderUnavailableError(answer.retryAfterMs, options);
}

/** Userinfo that said 401: the grant was revoked, or it is about this one access token and says nothing of the grant. */
export function userinfoFailure(answer: ProviderResponse): Error {
  const options = { cause: new Error(describeResponse(answer)) };
  return readError(answer).message === REVOKED
    ? new GrantDeadError(options)
    : new TokenRejectedError('userinfo', options);
}

function isMisconfigured(answer: ProviderResponse): boolean {
  const { error, message } = readError(answer);
  if (CLIENT_FAULTS.has(error)) return true;
  return answer.status === 400 && message === 'invalid client credentials';
}

/** Rollup ID's error bodies have a `message` and no `error`; a standard provider's are the other way round. */
function readError({ status, text }: ProviderResponse): { error: string; message: string } {
  const { error, message } = (status >= 400 && parseObject(text)) || {};
  return {
    error: typeof error === 'string' ? error : '',
    message: typeof message === 'string' ? message : '',
  };
}

/** For the log: the status and the provider's own words, cut short and only when they are from its known lists. */
export function describeResponse(answer: ProviderResponse): string {
  const { error, message } = readError(answer);
  const known = DEAD_GRANT.has(message) || BAD_CODE.has(message) || message === 'invalid client credentials';
  return `the provider answered ${answer.status} ${known ? message : error.replaceAll(/[^a-z_]/g, '').slice(0, 40)}`.trim();
}
