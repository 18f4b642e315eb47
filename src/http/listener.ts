import cors from '@fastify/cors';
import { fastify, type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Registry } from 'prom-client';
import type { IsOutage } from '../graphql/error-response.js';
import { createErrorHandler, handleNotFound } from './error-handler.js';
import { addDraining, type Draining } from './draining.js';
import { type ClientErrorHandlers, createClientErrorHandlers } from './client-errors.js';
import { addGraphqlRoute, type GraphqlRouteOptions } from './graphql-route.js';
import { addHealthRoutes } from './health.js';
import { addLoadShedding, addResponseTimeout } from './load-shedding.js';
import { addMetricsRoute } from './metrics-route.js';
import { addRequestHeaderChecks } from './request-headers.js';
import { createRequestIds, type RequestIdOf } from './request-id.js';
import { addRequestLog, type RunWithLogContext } from './request-log.js';
import { addRequestMetrics } from './request-metrics.js';
import { addSecurityHeaders } from './response-headers.js';
import type { HttpSettings } from './settings.js';

/** A page for developers: rendered on request, or a redirect to another one. */
export type DevelopmentPage = { readonly path: string } & (
  | { readonly render: () => Promise<string> }
  | { readonly redirect: string }
);

/** Dependencies and limits of the listener. Times in milliseconds. */
export interface ListenerOptions extends GraphqlRouteOptions, HttpSettings {
  readonly log: FastifyBaseLogger;
  readonly runWithLogContext: RunWithLogContext;
  readonly isOutage: IsOutage;
  readonly isReady: () => Promise<boolean>;
  /** Redacts what looks like a token or a secret. */
  readonly redactSecrets: (text: string) => string;
  /** Takes the metrics of the requests. */
  readonly registry: Registry;
  /** Prometheus text. */
  readonly renderMetrics: () => Promise<string>;
  readonly pages: readonly DevelopmentPage[];
}

/** What tracing in browsers sends; `tracestate` comes with `traceparent` and is not read. */
const TRACING_HEADERS = ['X-Request-Id', 'Traceparent', 'Tracestate'];

/** Creates the HTTP side: GraphQL, health, metrics, and in development the pages. Hooks run in this order. */
export async function createListener(
  options: ListenerOptions,
): Promise<{ listener: FastifyInstance; draining: Draining }> {
  const requestIdOf = createRequestIds(options.redactSecrets);
  const clientErrors = createClientErrorHandlers(options.log, requestIdOf);
  const listener = createFastify(options, clientErrors, requestIdOf);
  clientErrors.watch(listener.server);
  addRequestLog(listener, options.runWithLogContext);
  const draining = addDraining(listener);
  addRequestMetrics(listener, options.registry, {
    inFlight: draining.running,
    trustedNames: options.findDocument !== undefined,
  });
  addResponseTimeout(listener, options.responseTimeoutMs);
  addRequestHeaderChecks(listener);
  addLoadShedding(listener, options.maxConcurrentRequests);
  addSecurityHeaders(listener);
  if (options.corsOrigins.length > 0) {
    await listener.register(cors, {
      origin: [...options.corsOrigins],
      methods: ['GET', 'POST'],
      allowedHeaders: ['Authorization', 'Content-Type', 'Apollo-Require-Preflight', ...TRACING_HEADERS],
      exposedHeaders: ['X-Request-Id'],
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

function createFastify(
  options: ListenerOptions,
  clientErrors: ClientErrorHandlers,
  requestIdOf: RequestIdOf,
): FastifyInstance {
  return fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    // The log context of the request adds its id to every line.
    childLoggerFactory: (logger) => logger,
    bodyLimit: options.bodyLimitBytes,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    trustProxy: options.trustProxy.length > 0 ? [...options.trustProxy] : false,
    genReqId: requestIdOf,
    clientErrorHandler: clientErrors.onClientError,
    frameworkErrors: (_error, request, reply) => clientErrors.onBadUrl(request.raw, reply.raw),
    http: {
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headersTimeoutMs,
      connectionsCheckingInterval: 1_000,
    },
  });
}

/** Scripts and styles are inline, and the editor runs its workers from blobs. */
const PAGE_POLICY =
  "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; frame-ancestors 'none'; object-src 'none'";

function addPage(listener: FastifyInstance, page: DevelopmentPage): void {
  listener.get(page.path, async (_request, reply) => {
    if ('redirect' in page) return reply.redirect(page.redirect);
    const html = await page.render();
    return reply.type('text/html; charset=utf-8').header('content-security-policy', PAGE_POLICY).send(html);
  });
}
