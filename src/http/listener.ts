import type { AddressInfo } from 'node:net';
import type { ApolloServer } from '@apollo/server';
import cors from '@fastify/cors';
import { fastify, type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { RequestContext, RequestInfo, Viewer } from '../graphql/context.js';
import type { IsOutage } from '../graphql/error-response.js';
import type { FindDocument } from '../graphql/trusted-documents.js';
import { createErrorHandler, handleNotFound } from './error-handler.js';
import { addDraining, type Draining } from './draining.js';
import { createClientErrorHandlers } from './client-errors.js';
import { addGraphqlRoute } from './graphql-route.js';
import { addHealthRoutes } from './health.js';
import { addLoadShedding, addResponseTimeout } from './load-shedding.js';
import { addMetricsRoute } from './metrics-route.js';
import { addRequestHeaderChecks } from './request-headers.js';
import { addRequestLog, type RunInScope } from './request-log.js';
import { addSecurityHeaders } from './response-headers.js';
import type { VerifyAccessToken } from './viewer.js';

/** A page that only a developer sees: served as it is, made when first asked for. */
export interface DevelopmentPage {
  readonly path: string;
  readonly render: () => Promise<string>;
}

/** What the listener is made of. Times in milliseconds. */
export interface ListenerOptions {
  readonly log: FastifyBaseLogger;
  readonly runInScope: RunInScope;
  readonly bodyLimitBytes: number;
  readonly maxHeaderBytes: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** From the first byte of a request to the last of its response. */
  readonly responseTimeoutMs: number;
  readonly maxConcurrentRequests: number;
  readonly operationTimeoutMs: number;
  readonly maxDocumentCharacters: number;
  /** Addresses and CIDR blocks whose `X-Forwarded-*` headers are believed. */
  readonly trustProxy: readonly string[];
  readonly metricsFrom: readonly string[];
  readonly corsOrigins: readonly string[];
  readonly apollo: ApolloServer<RequestContext>;
  readonly verifyAccessToken: VerifyAccessToken;
  readonly createContext: (viewer: Viewer | undefined, request: RequestInfo) => RequestContext;
  readonly findDocument: FindDocument | undefined;
  readonly isOutage: IsOutage;
  readonly isReady: () => Promise<boolean>;
  /** Prometheus text. */
  readonly renderMetrics: () => Promise<string>;
  readonly pages: readonly DevelopmentPage[];
}

/** The HTTP side: GraphQL, health, metrics, and in development the pages. */
export async function createListener(
  options: ListenerOptions,
): Promise<{ listener: FastifyInstance; draining: Draining }> {
  const clientErrors = createClientErrorHandlers(options.log);
  const listener = fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    // The scope of the request says its id already, for whatever is logged on its behalf.
    childLoggerFactory: (logger) => logger,
    bodyLimit: options.bodyLimitBytes,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    trustProxy: options.trustProxy.length > 0 ? [...options.trustProxy] : false,
    genReqId: () => crypto.randomUUID(),
    clientErrorHandler: clientErrors.onClientError,
    frameworkErrors: (_error, _request, reply) => clientErrors.onBadUrl(reply.raw),
    http: {
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headersTimeoutMs,
      connectionsCheckingInterval: 1_000,
    },
  });
  clientErrors.watch(listener.server);
  addRequestLog(listener, options.runInScope);
  const draining = addDraining(listener);
  addResponseTimeout(listener, options.responseTimeoutMs);
  addRequestHeaderChecks(listener);
  addLoadShedding(listener, options.maxConcurrentRequests);
  addSecurityHeaders(listener);
  if (options.corsOrigins.length > 0) {
    await listener.register(cors, {
      origin: [...options.corsOrigins],
      methods: ['GET', 'POST'],
      allowedHeaders: ['Authorization', 'Content-Type', 'Apollo-Require-Preflight'],
      maxAge: 600,
    });
  }
  listener.setErrorHandler(createErrorHandler(options.isOutage));
  listener.setNotFoundHandler(handleNotFound);
  addHealthRoutes(listener, async () => !draining.isDraining() && (await options.isReady()));
  addMetricsRoute(listener, options.renderMetrics, options.metricsFrom);
  addGraphqlRoute(listener, options);
  for (const page of options.pages) addPage(listener, page);
  return { listener, draining };
}

/** Where a listening server can be reached. */
export function urlOf(listener: FastifyInstance): string {
  const { address, family, port } = listener.server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** Scripts and styles are in the page itself, and the editor runs its workers from blobs. */
const PAGE_POLICY =
  "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; frame-ancestors 'none'; object-src 'none'";

function addPage(listener: FastifyInstance, { path, render }: DevelopmentPage): void {
  listener.get(path, async (_request, reply) => {
    const html = await render();
    return reply.type('text/html; charset=utf-8').header('content-security-policy', PAGE_POLICY).send(html);
  });
}
