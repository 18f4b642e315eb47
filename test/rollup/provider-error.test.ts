import {
  ClientMismatchError,
  CodeRejectedError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  TokenRejectedError,
} from '../../src/errors.js';
import { exchangeError, refreshError, userinfoError } from '../../src/rollup/provider-error.js';

type Rejection = [status: number, body: string | object, expected: new (...args: never) => Error];

const REVOKED = 'Authorized data error. Re-authorization by user required';
const DEAD_GRANT = [
  'expired token',
  'invalid token',
  'token verification failed',
  'token claim validation failed',
  REVOKED,
];
const INVALID_CODE = [
  'expired code',
  'mismatch client id',
  'missing identity name',
  'missing account name',
  'missing client id',
  REVOKED,
];
const OUR_FAULT = [
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_request',
  'invalid_scope',
];
const everywhere: Rejection[] = [
  [400, { message: 'invalid client credentials' }, ProviderMisconfiguredError],
  [500, { message: 'invalid client credentials' }, ProviderUnavailableError],
  [500, { message: 'internal error' }, ProviderUnavailableError],
  [503, '<html>down</html>', ProviderUnavailableError],
  [302, { error: 'invalid_grant' }, ProviderUnavailableError],
  [429, {}, ProviderUnavailableError],
];

describe('a rejected refresh', () => {
  test.each<Rejection>([
    ...everywhere,
    ...DEAD_GRANT.map((message): Rejection => [401, { message }, GrantDeadError]),
    // Only with 401 do the words say that the grant is dead.
    ...DEAD_GRANT.map((message): Rejection => [500, { message }, ProviderUnavailableError]),
    ...DEAD_GRANT.map((message): Rejection => [400, { message }, ProviderUnavailableError]),
    ...OUR_FAULT.map((error): Rejection => [400, { error }, ProviderMisconfiguredError]),
    [400, { error: 'invalid_grant' }, GrantDeadError],
    [401, { message: 'something new' }, ProviderUnavailableError],
    [401, '', ProviderUnavailableError],
    [400, { message: 'mismatch client id' }, ClientMismatchError],
    [500, { message: 'mismatch client id' }, ProviderUnavailableError],
  ])('with %d and %j', (status, body, expected) => {
    expect(refreshError(response(status, body))).toBeInstanceOf(expected);
  });
});

describe('a rejected code', () => {
  test.each<Rejection>([
    ...everywhere,
    ...[400, 500].flatMap((status) =>
      INVALID_CODE.map((message): Rejection => [status, { message }, CodeRejectedError]),
    ),
    [400, { error: 'invalid_grant' }, CodeRejectedError],
    [400, { error: 'invalid_request' }, CodeRejectedError],
    [401, { error: 'invalid_client' }, ProviderMisconfiguredError],
    [401, { message: 'expired token' }, ProviderUnavailableError],
  ])('with %d and %j', (status, body, expected) => {
    expect(exchangeError(response(status, body))).toBeInstanceOf(expected);
  });
});

describe('a 401 of userinfo', () => {
  test.each<Rejection>([
    [401, { message: REVOKED }, GrantDeadError],
    [401, { message: 'expired token' }, TokenRejectedError],
    [401, '', TokenRejectedError],
  ])('with %d and %j', (status, body, expected) => {
    expect(userinfoError(response(status, body))).toBeInstanceOf(expected);
  });
});

function response(status: number, body: string | object) {
  return { status, retryAfterMs: 0, text: typeof body === 'string' ? body : JSON.stringify(body) };
}
