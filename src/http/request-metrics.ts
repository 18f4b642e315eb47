import type { FastifyInstance } from 'fastify';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { PUBLIC_CODES, TRANSPORT_CODES } from '../graphql/format-error.js';
import type { OperationRecord } from '../graphql/operation-record.js';

/** A request whose response was sent. */
export interface ServedRequest {
  readonly method: string;
  /** The pattern of its route; undefined for an unknown path. */
  readonly route: string | undefined;
  readonly status: number;
  /** From its first byte to its response. */
  readonly seconds: number;
  readonly operation: OperationRecord;
}

/** What the metrics read of the server. */
export interface RequestMetricsOptions {
  /** The requests that are being served. */
  readonly inFlight: () => number;
  /** Whether clients can only name operations of trusted documents, so that there are no others to count. */
  readonly trustedNames: boolean;
}

/** Methods with a value of their own: any other is counted as `other`, as is every unknown path. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'OPTIONS']);
const ROUTE = '/graphql';

/** Names that clients may choose, and their characters: a name more or a longer one is counted as `other`. */
const MAX_NAMES = 100;
const MAX_NAME_CHARACTERS = 64;

const BUCKETS = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20];

/** Counts each response of the listener. */
export function addRequestMetrics(
  listener: FastifyInstance,
  registry: Registry,
  options: RequestMetricsOptions,
): void {
  const count = createRequestMetrics(registry, options);
  listener.addHook('onResponse', (request, reply, done) => {
    const { method, operation, routeOptions } = request;
    const seconds = reply.elapsedTime / 1_000;
    count({ method, route: routeOptions.url, status: reply.statusCode, seconds, operation });
    done();
  });
}

/** Declares the metrics of requests and operations; returns what counts one. Their labels have few values. */
export function createRequestMetrics(
  registry: Registry,
  { inFlight, trustedNames }: RequestMetricsOptions,
): (request: ServedRequest) => void {
  const { duration, operations, errors } = declare(registry, inFlight);
  const nameOf = createNames(trustedNames);
  return ({ method, route = '*', status, seconds, operation }) => {
    const labels = { method: METHODS.has(method) ? method : 'other', route: route === '*' ? 'other' : route };
    duration.observe({ ...labels, status }, seconds);
    if (route !== ROUTE) return;
    const { type, name, startedAt, codes } = operation;
    for (const code of codes) errors.inc({ code });
    if (type === undefined || startedAt === undefined) return;
    const outcome = codes.length === 0 ? 'success' : 'error';
    operations.observe({ type, name: nameOf(name), outcome }, (performance.now() - startedAt) / 1_000);
  };
}

function declare(registry: Registry, inFlight: () => number) {
  const registers = [registry];
  const duration = new Histogram({
    name: 'rollup_accounts_http_request_duration_seconds',
    help: 'Requests from their first byte to their response.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers,
  });
  const running: Gauge = new Gauge({
    name: 'rollup_accounts_http_requests_in_flight',
    help: 'Requests that are being served, this scrape among them.',
    collect: () => running.set(inFlight()),
    registers,
  });
  const operations = new Histogram({
    name: 'rollup_accounts_graphql_operation_duration_seconds',
    help: 'Operations from parsing to their response.',
    labelNames: ['type', 'name', 'outcome'],
    buckets: BUCKETS,
    registers,
  });
  const errors = new Counter({
    name: 'rollup_accounts_graphql_errors_total',
    help: 'Responses of /graphql with an error of this code.',
    labelNames: ['code'],
    registers,
  });
  for (const code of [...PUBLIC_CODES, ...TRANSPORT_CODES, 'INTERNAL_SERVER_ERROR']) errors.inc({ code }, 0);
  return { duration, operations, errors };
}

/** Names of operations as values of a label: every trusted one, or the first of those that clients choose. */
function createNames(trusted: boolean): (name: string | undefined) => string {
  const known = new Set<string>();
  return (name) => {
    if (name === undefined) return 'anonymous';
    if (trusted || known.has(name)) return name;
    if (known.size >= MAX_NAMES || name.length > MAX_NAME_CHARACTERS) return 'other';
    known.add(name);
    return name;
  };
}
