const MESSAGES: Readonly<Record<number, string>> = {
  413: 'The request body is too large.',
  415: 'Send a JSON body, not compressed.',
  431: 'The request has too many headers.',
};

/** What a response says when its status says enough. */
export const BAD_REQUEST_MESSAGE = 'The request is not one that this server accepts.';

/** A request that is rejected before execution: the HTTP status, and the message and code of the response. */
export class HttpError extends Error {
  readonly statusCode: number;
  readonly code: string;
  constructor(
    statusCode: number,
    message = MESSAGES[statusCode] ?? BAD_REQUEST_MESSAGE,
    code = 'BAD_REQUEST',
  ) {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
  }
}
