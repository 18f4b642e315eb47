import type { FastifyInstance } from 'fastify';
import { createOperationRecord, type OperationRecord } from '../graphql/operation-record.js';
import { REQUEST_ID } from './request-id.js';
import { readTraceContext, type TraceContext } from './trace-context.js';

/** Fields of every line logged for one request: its id, its trace if it has one, and the caller once verified. */
interface LogContext extends Partial<TraceContext> {
  readonly reqId: string;
}

/** Calls a function so that everything it logs, now or later, carries these fields. */
export type RunWithLogContext = (fields: LogContext, run: () => void) => void;

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first `onRequest` hook, as is `operation`. */
    logContext: LogContext;
    /** Filled while the request is served; outside `/graphql` with codes only. */
    operation: OperationRecord;
  }
}

/** Characters of a path, and of an operation's name, in the log. */
const MAX_PATH = 256;
const MAX_NAME = 64;

/**
 * Logs one line for each request: method, path, status, duration, the operation and the codes of its errors; never a
 * query string, a header or a document. Every response carries the request's id.
 */
export function addRequestLog(listener: FastifyInstance, runWithLogContext: RunWithLogContext): void {
  listener.decorateRequest('logContext');
  listener.decorateRequest('operation');
  // With a callback: everything that `done` starts runs in the log context.
  listener.addHook('onRequest', (request, reply, done) => {
    request.logContext = { reqId: request.id, ...readTraceContext(request.headers) };
    request.operation = createOperationRecord();
    void reply.header(REQUEST_ID, request.id);
    runWithLogContext(request.logContext, done);
  });
  listener.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const ms = Math.round(reply.elapsedTime);
    const path = request.url.split('?', 1)[0]?.slice(0, MAX_PATH);
    const line = { method, path, status: reply.statusCode, ms, ...describeOperation(request.operation) };
    runWithLogContext(request.logContext, () => request.log.info(line, 'request'));
    done();
  });
}

/** The operation by its name, or by its type when it is anonymous; absent when there is none, as are absent codes. */
function describeOperation({ type, name, codes }: OperationRecord): Record<string, unknown> {
  return {
    ...(type !== undefined && { operation: name?.slice(0, MAX_NAME) ?? type }),
    ...(codes.length > 0 && { codes }),
  };
}
