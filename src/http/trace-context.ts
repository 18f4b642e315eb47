import type { IncomingHttpHeaders } from 'node:http';

/** The caller's place in its trace, named as log fields are in OpenTelemetry ("Trace Context in non-OTLP Log Formats"). */
export interface TraceContext {
  readonly trace_id: string;
  readonly span_id: string;
}

/** `version-traceId-parentId-flags`, in lower case. Version 00 ends there, a later one may go on after a dash. */
const TRACEPARENT =
  /^(?!ff|00.{54})[\da-f]{2}-(?!0{32})(?<trace>[\da-f]{32})-(?!0{16})(?<parent>[\da-f]{16})-[\da-f]{2}(?:-|$)/;

/**
 * Reads `traceparent` (W3C Trace Context §3.2); undefined without a valid one. It stands in the log only: this server
 * makes no spans, and tells no other party about its callers' traces.
 */
export function readTraceContext({ traceparent }: IncomingHttpHeaders): TraceContext | undefined {
  if (typeof traceparent !== 'string') return undefined;
  const { trace, parent } = TRACEPARENT.exec(traceparent)?.groups ?? {};
  return trace !== undefined && parent !== undefined ? { trace_id: trace, span_id: parent } : undefined;
}
