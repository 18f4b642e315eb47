import type { AddressInfo } from 'node:net';
import type { ApolloServer } from '@apollo/server';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import cors from '@fastify/cors';
import {
  fastify,
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { ProviderUnavailableError, TokenRejectedError, UnauthenticatedError } from '../errors.js';
import type { RequestContext, Viewer } from '../graphql/context.js';
import { publicExtensions } from '../graphql/format-error.js';
import { addDraining, type Draining } from './draining.js';
import { addHealth, addMetrics } from './health.js';
import { resolveViewer, type VerifyAccessToken } from './viewer.js';

/** A page that only a developer sees: served as it is, made when first asked for. */
export interface DevelopmentPage {
  readonly path: string;
  readonly render: () => Promise<string>;
}

/** What the listener is made of. */
export interface ListenerOptions {
  readonly log: FastifyBaseLogger;
  readonly bodyLimitBytes: number;
  readonly corsOrigins: readonly string[];
  readonly apollo: ApolloServer<RequestContext>;
  readonly verifyAccessToken: VerifyAccessToken;
  readonly createContext: (viewer: Viewer | undefined) => RequestContext;
  readonly isReady: () => Promise<boolean>;
  /** Prometheus text. */
  readonly renderMetrics: () => Promise<string>;
  readonly pages: readonly DevelopmentPage[];
}

/** The HTTP side: GraphQL, health, and in development the pages. */
export async function createListener(
  options: ListenerOptions,
): Promise<{ listener: FastifyInstance; draining: Draining }> {
  const { bodyLimitBytes, corsOrigins, pages, log } = options;
  const listener = fastify({
    loggerInstance: log,
    bodyLimit: bodyLimitBytes,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: 30_000,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    genReqId: () => crypto.randomUUID(),
  });
  if (corsOrigins.length > 0)
    await listener.register(cors, { origin: [...corsOrigins], methods: ['GET', 'POST'], maxAge: 600 });
  listener.addHook('onSend', async (_request, reply) => {
    void reply.headers({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
  });
  listener.addHook('onResponse', async (request, reply) => {
    request.log.info(
      {
        method: request.method,
        path: pathOf(request),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'request',
    );
  });
  listener.setErrorHandler((error, request, reply) => answerError(error, request, reply));
  const draining = addDraining(listener);
  addHealth(listener, async () => !draining.isDraining() && (await options.isReady()));
  addMetrics(listener, options.renderMetrics);
  addGraphql(listener, options);
  for (const page of pages) addPage(listener, page);
  return { listener, draining };
}

/** Where a listening server can be reached. */
export function urlOf(listener: FastifyInstance): string {
  const { address, family, port } = listener.server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function addGraphql(
  listener: FastifyInstance,
  { apollo, createContext, verifyAccessToken }: ListenerOptions,
): void {
  const viewers = new WeakMap<FastifyRequest, Viewer>();
  listener.route({
    method: ['GET', 'POST'],
    url: '/graphql',
    onRequest: async (request) => {
      const viewer = await resolveViewer(request.raw.rawHeaders, verifyAccessToken);
      if (viewer) viewers.set(request, viewer);
    },
    handler: fastifyApolloHandler(apollo, {
      context: async (request) => createContext(viewers.get(request)),
    }),
  });
}

function addPage(listener: FastifyInstance, { path, render }: DevelopmentPage): void {
  listener.get(path, async (_request, reply) => {
    const html = await render();
    return reply.type('text/html; charset=utf-8').header('x-frame-options', 'DENY').send(html);
  });
}

/** Errors from before GraphQL, in the shape of GraphQL's. What is ours to hide is only in the log. */
function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof UnauthenticatedError) {
    const { cause } = error;
    request.log.info(
      { reason: cause instanceof TokenRejectedError ? cause.reason : undefined },
      'bearer refused',
    );
    void reply.code(401).header('www-authenticate', 'Bearer error="invalid_token"');
    return sendError(reply, error.message, publicExtensions(error));
  }
  if (error instanceof ProviderUnavailableError) {
    request.log.warn({ err: error }, 'keys of the issuer are not available');
    void reply.code(503).header('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1_000)));
    return sendError(reply, error.message, publicExtensions(error));
  }
  const status = statusOf(error);
  if (status < 500)
    return sendError(reply.code(status), 'The request is not one that this server accepts.', {
      code: 'BAD_REQUEST',
    });
  request.log.error({ err: error, correlationId: request.id }, 'internal error');
  return sendError(reply.code(500), 'Something went wrong on our side.', {
    code: 'INTERNAL_SERVER_ERROR',
    correlationId: request.id,
  });
}

function sendError(reply: FastifyReply, message: string, extensions: Record<string, unknown>): FastifyReply {
  return reply.type('application/json; charset=utf-8').send({ errors: [{ message, extensions }] });
}

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}
