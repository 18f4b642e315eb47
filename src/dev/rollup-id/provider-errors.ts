import { randomBytes } from 'node:crypto';
import { type EmulatorResponse, json } from './response.js';

const ERROR_STATUS = { BAD_REQUEST: 400, UNAUTHORIZED: 401 };

/** The code of a known Rollup ID error. */
export type ErrorCode = keyof typeof ERROR_STATUS;

type ErrorBody = { message: string } & Record<string, unknown>;

/** Thrown by an endpoint to send an error response. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly response: EmulatorResponse & { body: ErrorBody };

  constructor(response: EmulatorResponse & { body: ErrorBody }) {
    super(response.body.message);
    this.response = response;
  }
}

/**
 * An error with a code. It follows neither RFC 6749 §5.2 nor RFC 6750 §3: there is no `error`, no
 * `WWW-Authenticate` and no `Cache-Control`.
 */
export function rollupError(code: ErrorCode, message: string): ProviderError {
  return new ProviderError(knownError(code, message));
}

/** The response of `rollupError`, for a fault. */
export function knownError(code: ErrorCode, message: string) {
  return errorResponse(ERROR_STATUS[code], { code, message, name: 'RollupError' });
}

/** An error without a code: `data error` for a form without a required field, otherwise `unknown error`. */
export function bareError(message: 'data error' | 'unknown error'): ProviderError {
  return new ProviderError(errorResponse(500, { message }));
}

/**
 * A failed call between two services of Rollup ID, exposed to the client.
 * `method` is the internal method, such as `exchangeToken`.
 */
export function internalError(method: string, message: string): ProviderError {
  const data = { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500, path: `authorization.${method}` };
  const shape = { message, code: -32603, data };
  const body = { meta: { response: {} }, shape, data, name: 'TRPCClientError', message };
  return new ProviderError(errorResponse(500, body));
}

function errorResponse(status: number, body: ErrorBody) {
  const traceparent = `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`;
  return { ...json(undefined, status, { 'x-remix-catch': 'yes' }), body: { ...body, traceparent } };
}
