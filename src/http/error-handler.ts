import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  type AppError,
  DeadlineExceededError,
  OverloadedError,
  ProviderUnavailableError,
  TokenRejectedError,
  UnauthenticatedError,
} from '../errors.js';
import { errorResponse, type IsOutage } from '../graphql/error-response.js';
import { internalError, type PublicError, publicExtensions } from '../graphql/format-error.js';
import { addCodes } from '../graphql/operation-record.js';
import { HttpError } from './http-error.js';

/** Creates the handler of errors outside GraphQL execution. Internal details go to the log only. */
export function createErrorHandler(isOutage: IsOutage) {
  return function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const clientError = toClientError(error);
    if (clientError) return sendClientError(reply, clientError);
    const { status, headers } = errorResponse([error], isOutage) ?? { status: 500, headers: {} };
    return sendError(reply.code(status).headers(headers), logError(error, request));
  };
}

/** 404, or 405 for a method that `/graphql` does not take. */
export function handleNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (request.url.split('?', 1)[0] !== '/graphql') {
    return sendClientError(reply, new HttpError(404, 'There is nothing at this path.'));
  }
  void reply.header('allow', 'GET, POST');
  return sendClientError(reply, new HttpError(405, 'Use POST, or GET for queries.'));
}

function sendClientError(reply: FastifyReply, { statusCode, message, code }: HttpError): FastifyReply {
  return sendError(reply.code(statusCode), { message, extensions: { code } });
}

/** A response in the shape of GraphQL's errors. */
function sendError(reply: FastifyReply, error: PublicError): FastifyReply {
  addCodes(reply.request.operation, [error]);
  return reply.type('application/json; charset=utf-8').send({ errors: [error] });
}

/** Fastify's own errors carry a `statusCode` too. */
function toClientError(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error;
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? new HttpError(status) : undefined;
}

/** Logs an error and returns what the client learns of it. */
function logError(error: unknown, { log }: FastifyRequest): PublicError {
  if (error instanceof OverloadedError) return publicError(error);
  if (error instanceof UnauthenticatedError) {
    const reason = error.cause instanceof TokenRejectedError ? error.cause.reason : undefined;
    log.info({ event: 'bearer_refused', reason }, 'bearer');
    return publicError(error);
  }
  if (error instanceof ProviderUnavailableError) {
    log.warn({ err: error }, 'keys of the issuer are not available');
    return publicError(error);
  }
  // Not the id of the request: a client may have chosen that.
  const correlationId = randomUUID();
  if (error instanceof DeadlineExceededError) {
    log.error({ correlationId }, 'operation timed out');
    return internalError(correlationId, error.message);
  }
  log.error({ err: error, correlationId }, 'internal error');
  return internalError(correlationId);
}

function publicError(error: AppError): PublicError {
  return { message: error.message, extensions: publicExtensions(error) };
}
