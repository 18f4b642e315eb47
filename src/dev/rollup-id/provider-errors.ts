import { randomBytes } from 'node:crypto';
import { type EmulatorResponse, json } from './response.js';

/** The HTTP status of each error code. */
export const ERROR_STATUS = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  INTERNAL_SERVER_ERROR: 500,
} as const;

/** The code of a known Rollup ID error. */
export type ErrorCode = keyof typeof ERROR_STATUS;

/** An error response of `/token` or `/userinfo`; also usable as a fault. */
export interface ErrorResponse extends EmulatorResponse {
  body: { message: string } & Record<string, unknown>;
}

/** Thrown by an endpoint to send an error response. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly response: ErrorResponse;

  constructor(response: ErrorResponse) {
    super(response.body.message);
    this.response = response;
  }
}

/**
 * An error with a code. It follows neither RFC 6749 §5.2 nor RFC 6750 §3: there is no `error`, no
 * `WWW-Authenticate` and no `Cache-Control`.
 */
export function knownError(code: ErrorCode, message: string): ErrorResponse {
  return errorResponse(ERROR_STATUS[code], { code, message, name: 'RollupError' });
}

/** The response to a form without a required field. */
export function invalidInput(): ErrorResponse {
  return errorResponse(500, { message: 'data error' });
}

/** The response to any unexpected error. */
export function unknownError(): ErrorResponse {
  return errorResponse(500, { message: 'unknown error' });
}

/**
 * A failed call between two services of Rollup ID, exposed to the client.
 * `method` is the internal method, such as `exchangeToken`.
 */
export function internalCallFailed(method: string, message: string): ErrorResponse {
  const data = { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500, path: `authorization.${method}` };
  const shape = { message, code: -32603, data };
  return errorResponse(500, { meta: { response: {} }, shape, data, name: 'TRPCClientError', message });
}

/** The response of Rollup ID's framework to a method that a route does not support. */
export function unsupportedMethod(): EmulatorResponse {
  return {
    status: 500,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: 'Unexpected Server Error',
  };
}

function errorResponse(status: number, body: { message: string } & Record<string, unknown>): ErrorResponse {
  const traceparent = `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`;
  const { headers } = json(undefined, status, { 'x-remix-catch': 'yes' });
  return { status, headers, body: { ...body, traceparent } };
}
