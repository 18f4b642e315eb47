import { HeaderMap, type HTTPGraphQLResponse } from '@apollo/server';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { DeadlineExceededError } from '../errors.js';
import type { Viewer } from '../graphql/context.js';
import type { Graphql } from '../graphql/graphql.js';
import { addRejection } from '../graphql/operation-record.js';
import type { DocumentRequest } from '../graphql/trusted-documents.js';
import { HttpError } from './http-error.js';
import type { HttpSettings } from './settings.js';
import { resolveViewer, type VerifyAccessToken } from './viewer.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** At `/graphql` the caller; undefined for an anonymous one. */
    viewer: Viewer | undefined;
  }
}

/** Dependencies and limits of the route. */
export interface GraphqlRouteOptions extends Graphql, Pick<HttpSettings, 'operationTimeoutMs'> {
  readonly verifyAccessToken: VerifyAccessToken;
  readonly maxDocumentCharacters: number;
}

/** `/graphql`: the bearer is verified before the body is read. */
export function addGraphqlRoute(listener: FastifyInstance, options: GraphqlRouteOptions): void {
  listener.decorateRequest('viewer', undefined);
  listener.route({
    method: ['GET', 'POST'],
    url: '/graphql',
    onRequest: async (request) => {
      request.viewer = await resolveViewer(request.raw.rawHeaders, options.verifyAccessToken);
    },
    async handler(request, reply) {
      const trusted = checkDocument(request, options);
      const deadline = startDeadline(reply, options.operationTimeoutMs);
      let response: HTTPGraphQLResponse;
      try {
        response = await execute(options, request, deadline.signal, trusted);
      } finally {
        deadline.stop();
      }
      if (response.body.kind === 'complete') addRejection(request.operation, response.body.string);
      return reply.sent ? reply : sendResponse(reply, response);
    },
  });
}

/**
 * Checks what a request accepts and which document it names, before GraphQL sees it. Returns the trusted document
 * where only those may run. Throws `HttpError`.
 */
function checkDocument(
  request: FastifyRequest,
  { findDocument, maxDocumentCharacters }: GraphqlRouteOptions,
): string | undefined {
  const parameters = parametersOf(request);
  if (!acceptsJson(request.headers.accept)) {
    throw new HttpError(406, 'Accept application/graphql-response+json or application/json.');
  }
  if (typeof parameters.query === 'string' && parameters.query.length > maxDocumentCharacters) {
    const message = `The document is longer than ${maxDocumentCharacters} characters.`;
    throw new HttpError(400, message, 'GRAPHQL_VALIDATION_FAILED');
  }
  const trusted = findDocument?.(parameters);
  if (findDocument && trusted === undefined) {
    throw new HttpError(400, 'Only trusted documents run here.', 'PERSISTED_QUERY_NOT_FOUND');
  }
  return trusted;
}

/** The GraphQL parameters: the body of a POST, the query string of a GET. */
function parametersOf(request: FastifyRequest): DocumentRequest {
  const parameters: unknown = request.method === 'GET' ? request.query : request.body;
  return typeof parameters === 'object' && parameters !== null ? parameters : {};
}

function execute(
  { apollo, createContext }: GraphqlRouteOptions,
  request: FastifyRequest,
  signal: AbortSignal,
  trusted: string | undefined,
): Promise<HTTPGraphQLResponse> {
  const headers = new HeaderMap();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return apollo.executeHTTPGraphQLRequest({
    httpGraphQLRequest: {
      method: request.method,
      headers,
      body: request.body,
      search: new URL(request.url, 'http://localhost').search,
      ...(trusted !== undefined && replaceDocument(request, trusted)),
    },
    context: async () =>
      createContext(request.viewer, { address: request.ip, signal, operation: request.operation }),
  });
}

/** The parameters with the text of the trusted document, however the request named it. */
function replaceDocument(request: FastifyRequest, query: string): { body?: unknown; search?: string } {
  const { documentId: _id, extensions: _extensions, ...rest } = parametersOf(request);
  const parameters = { ...rest, query };
  if (request.method !== 'GET') return { body: parameters };
  return { search: `?${new URLSearchParams(parameters).toString()}` };
}

function sendResponse(reply: FastifyReply, { status, headers, body }: HTTPGraphQLResponse): FastifyReply {
  for (const [name, value] of headers) void reply.header(name, value);
  void reply.code(status ?? 200);
  // Only @defer makes a response of several parts, and this schema has none.
  return reply.send(body.kind === 'complete' ? body.string : '');
}

/** At the deadline the error handler responds, and the signal keeps further resolvers from starting. */
function startDeadline(
  reply: FastifyReply,
  timeoutMs: number,
): { readonly signal: AbortSignal; stop(): void } {
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    const error = new DeadlineExceededError();
    deadline.abort(error);
    void reply.send(error);
  }, timeoutMs);
  return { signal: deadline.signal, stop: () => clearTimeout(timer) };
}

const JSON_TYPES = new Set(['application/json', 'application/graphql-response+json', 'application/*', '*/*']);

/**
 * Whether an `Accept` header allows one of the two media types of GraphQL over HTTP. Checked before execution: an
 * operation must not run when its response cannot be accepted.
 */
function acceptsJson(accept: string | undefined): boolean {
  if (accept === undefined) return true;
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return JSON_TYPES.has(type) && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}
