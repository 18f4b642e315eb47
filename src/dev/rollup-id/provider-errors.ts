import { randomBytes } from 'node:crypto';
import { type Answer, json } from './response.js';

/** Codes of a known Rollup ID error and the HTTP status each one has. */
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

/** An error answer of `/token` or `/userinfo`; it can also be put into a fault script as it is. */
export interface ErrorAnswer extends Answer {
  body: { message: string } & Record<string, unknown>;
}

/** Carries an error answer out of an endpoint. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';

  constructor(readonly answer: ErrorAnswer) {
    super(answer.body.message);
  }
}

/**
 * An error Rollup ID knows by name. Nothing here has the shape of RFC 6749 or 6750: there is no `error`,
 * no `WWW-Authenticate` and no `Cache-Control`.
 */
export function knownError(code: ErrorCode, message: string): ErrorAnswer {
  return errorAnswer(ERROR_STATUS[code], { code, message, name: 'RollupError' });
}

/** The answer to a form in which a needed field is missing. */
export function badInput(): ErrorAnswer {
  return errorAnswer(500, { message: 'data error' });
}

/** The answer to anything Rollup ID did not foresee. */
export function unknownError(): ErrorAnswer {
  return errorAnswer(500, { message: 'unknown error' });
}

/**
 * The failure of a call between two services of Rollup ID, which leaks through to the outside.
 * `method` is the inner method, such as `exchangeToken`.
 */
export function internalCallFailed(method: string, message: string): ErrorAnswer {
  const data = { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500, path: `authorization.${method}` };
  const shape = { message, code: -32603, data };
  return errorAnswer(500, { meta: { response: {} }, shape, data, name: 'TRPCClientError', message });
}

/** What the framework under Rollup ID says to a method a route does not have. */
export function unexpectedMethod(): Answer {
  return {
    status: 500,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: 'Unexpected Server Error',
  };
}

function errorAnswer(status: number, body: { message: string } & Record<string, unknown>): ErrorAnswer {
  const traceparent = `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`;
  const { headers } = json(undefined, status, { 'x-remix-catch': 'yes' });
  return { status, headers, body: { ...body, traceparent } };
}
