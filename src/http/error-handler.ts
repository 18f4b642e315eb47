import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProviderUnavailableError, TokenRejectedError, UnauthenticatedError } from '../errors.js';
import { publicExtensions } from '../graphql/format-error.js';

/** Errors from before GraphQL, in the shape of GraphQL's. What is ours to hide is only in the log. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof UnauthenticatedError) {
    const { cause } = error;
    const reason = cause instanceof TokenRejectedError ? cause.reason : undefined;
    request.log.info({ event: 'bearer_refused', reason }, 'bearer');
    void reply.code(401).header('www-authenticate', 'Bearer error="invalid_token"');
    return sendError(reply, error.message, publicExtensions(error));
  }
  if (error instanceof ProviderUnavailableError) {
    request.log.warn({ err: error }, 'keys of the issuer are not available');
    void reply.code(503).header('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1_000)));
    return sendError(reply, error.message, publicExtensions(error));
  }
  const status = statusOf(error);
  if (status === 503) {
    void reply.code(503).header('retry-after', 1);
    return sendError(reply, 'The server is busy. Try again in a moment.', {
      code: 'RATE_LIMITED',
      retryAfterMs: 1_000,
    });
  }
  if (status < 500)
    return sendError(reply.code(status), REFUSED[status] ?? REFUSED_OTHERWISE, { code: 'BAD_REQUEST' });
  request.log.error({ err: error, correlationId: request.id }, 'internal error');
  return sendError(reply.code(500), 'Something went wrong on our side.', {
    code: 'INTERNAL_SERVER_ERROR',
    correlationId: request.id,
  });
}

/** Nothing is at this path; at `/graphql` there is, but not for this method. */
export function handleNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (request.url.split('?', 1)[0] !== '/graphql') {
    return sendError(reply.code(404), 'There is nothing at this path.', { code: 'BAD_REQUEST' });
  }
  const message = 'Use POST, or GET for queries.';
  return sendError(reply.code(405).header('allow', 'GET, POST'), message, { code: 'BAD_REQUEST' });
}

/** An answer in the shape of GraphQL's errors. */
export function sendError(
  reply: FastifyReply,
  message: string,
  extensions: Record<string, unknown>,
): FastifyReply {
  return reply.type('application/json; charset=utf-8').send({ errors: [{ message, extensions }] });
}

/** What a refusal says that has nothing more to tell. */
export const REFUSED_OTHERWISE = 'The request is not one that this server accepts.';
const REFUSED: Readonly<Record<number, string>> = {
  413: 'The request body is too large.',
  415: 'Send a JSON body, not compressed.',
  431: 'The request has too many headers.',
};

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && ((status >= 400 && status < 500) || status === 503) ? status : 500;
}
