import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** The header of the id, in requests and responses. */
export const REQUEST_ID = 'x-request-id';

/** Letters, digits, `.`, `_` and `-`: every usual kind of id, and nothing that has a meaning in a header or a log. */
const WELL_FORMED = /^[\w.-]{1,128}$/;

/** The id of a request: its own `X-Request-Id` when that is well-formed, else a new UUID. */
export type RequestIdOf = (request?: IncomingMessage) => string;

/**
 * Creates a `RequestIdOf`. What looks like a secret is not taken over: the log would redact it, and the response would
 * repeat it. Of a repeated header Node joins the values with a comma, which is not well-formed.
 *
 * A client may send one id twice, or another client's: it finds the records of a request and proves nothing.
 */
export function createRequestIds(redactSecrets: (text: string) => string): RequestIdOf {
  return (request) => {
    const id = request?.headers[REQUEST_ID];
    const isTaken = typeof id === 'string' && WELL_FORMED.test(id) && redactSecrets(id) === id;
    return isTaken ? id : randomUUID();
  };
}
