import { setTimeout } from 'node:timers/promises';
import { asObject } from '../../json.js';
import { type EmulatorResponse, json, text, type Transport } from '../rollup-id/response.js';

const FAULT_POINTS = ['token', 'refresh', 'exchange', 'userinfo', 'jwks', 'discovery', 'galaxy'] as const;

/** Where a fault can be placed; `token` stands for both `exchange` and `refresh`. */
export type FaultPoint = (typeof FAULT_POINTS)[number];

/**
 * A fault injected into one call. The parts combine: first delay and hold, then either a forced response
 * (`status`, `body` or `redirectTo`) or the endpoint's own, changed by `transform`, `successStatus` and `headers`, last the
 * transport (`reset`, `dripMs`). A forced response skips the endpoint and its side effects.
 */
export interface Fault extends Transport {
  /** Forces this status; without `body` the body is empty. */
  status?: number;
  /** Added to the response; replaces headers of the same name. */
  headers?: Record<string, string>;
  /** Forces this body: text and bytes unchanged, anything else as JSON. */
  body?: unknown;
  /** Forces a 302 to this URL. */
  redirectTo?: string;
  /** Called when the request has arrived and been counted. */
  onArrival?: () => void;
  /** Delays the response by this many milliseconds. */
  delayMs?: number;
  /** Holds the response until this promise resolves. */
  hold?: Promise<unknown>;
  /** The status of the endpoint's own 200 response. */
  successStatus?: number;
  /** Begins the body with a byte order mark. */
  byteOrderMark?: boolean;
  /** Edits the JSON of the endpoint's own 200 response. */
  transform?: (body: Record<string, unknown>) => Promise<Record<string, unknown>> | Record<string, unknown>;
}

/** The faults of one endpoint: each in the queue applies to one call, the standing one to every call after. */
interface EndpointFaults {
  queue: Fault[];
  standing: Fault | undefined;
}

/** The injected faults by endpoint. */
type Faults = Record<FaultPoint, EndpointFaults>;

export function noFaults(): Faults {
  const none = FAULT_POINTS.map((point) => [point, { queue: [], standing: undefined }]);
  return Object.fromEntries(none) as Faults;
}

/** A latch: holds calls until released and reports the first arrival. */
export interface Gate {
  /** To be queued, alone or spread into another fault. */
  readonly fault: Pick<Fault, 'hold' | 'onArrival'>;
  /** Resolves when the first call arrives. */
  readonly arrived: Promise<void>;
  /** Releases all held calls and lets later ones through. */
  release(): void;
}

/** Creates a closed gate. */
export function createGate(): Gate {
  const arrival = Promise.withResolvers<void>();
  const opening = Promise.withResolvers<void>();
  return {
    fault: { hold: opening.promise, onArrival: arrival.resolve },
    arrived: arrival.promise,
    release: opening.resolve,
  };
}

/** Takes the fault for a call: queues before standing faults, earlier points before later ones. */
export function nextFault(faults: Faults, points: readonly FaultPoint[]): Fault | undefined {
  const endpoints = points.map((point) => faults[point]);
  const queued = endpoints.find(({ queue }) => queue.length > 0);
  if (queued !== undefined) return queued.queue.shift();
  return endpoints.find(({ standing }) => standing !== undefined)?.standing;
}

/** Responds under a fault. `closing` ends delay and hold. */
export async function respondWithFault(
  fault: Fault,
  handler: () => Promise<EmulatorResponse>,
  closing: Promise<void>,
): Promise<EmulatorResponse> {
  fault.onArrival?.();
  await waitForFault(fault, closing);
  const forced = forcedResponse(fault);
  if (forced !== undefined) return forced;
  const response = await handler();
  const original = response.status === 200 ? asObject(response.body) : undefined;
  const body = original && fault.transform ? await fault.transform(structuredClone(original)) : response.body;
  return {
    status: original && fault.successStatus !== undefined ? fault.successStatus : response.status,
    headers: { ...response.headers, ...lowerCase(fault.headers) },
    body: fault.byteOrderMark ? `\uFEFF${JSON.stringify(body)}` : body,
  };
}

async function waitForFault(fault: Fault, closing: Promise<void>): Promise<void> {
  const { delayMs } = fault;
  if (delayMs !== undefined) await Promise.race([setTimeout(delayMs, undefined, { ref: false }), closing]);
  if (fault.hold !== undefined) await Promise.race([fault.hold, closing]);
}

function forcedResponse(fault: Fault): EmulatorResponse | undefined {
  const headers = lowerCase(fault.headers);
  if (fault.redirectTo !== undefined) {
    return { status: fault.status ?? 302, headers: { location: fault.redirectTo, ...headers }, body: '' };
  }
  if (fault.body === undefined && fault.status === undefined) return undefined;
  if (typeof fault.body === 'object' && fault.body !== null && !(fault.body instanceof Uint8Array)) {
    return json(fault.body, fault.status, headers);
  }
  return text(fault.body ?? '', fault.status, headers);
}

function lowerCase(headers: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
