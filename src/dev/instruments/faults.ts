import { type Answer, json } from '../rollup-id/response.js';

/** Where a fault can be placed; `token` stands for both `exchange` and `refresh`. */
export type FaultPoint = 'token' | 'refresh' | 'exchange' | 'userinfo' | 'jwks' | 'discovery' | 'galaxy';

/**
 * One thing that goes wrong with one call. The parts combine: first the waiting, then either a forced answer
 * (`status`, `body` or `redirectTo`) or the endpoint's own one, changed by `transform` and `headers`; last
 * the way it travels. The endpoint does its work, side effects included, unless the answer is forced.
 */
export interface Fault {
  /** Forces this status; without `body` the body is empty. */
  status?: number;
  /** Added to the answer; replaces headers of the same name. */
  headers?: Record<string, string>;
  /** Forces this body: text or bytes as they are, anything else as JSON. */
  body?: unknown;
  /** Forces a 302 to this URL. */
  redirectTo?: string;
  /** Called when the request has arrived and been counted. */
  onArrival?: () => void;
  /** Waits this many milliseconds before answering. */
  delayMs?: number;
  /** Waits for this promise before answering. */
  hold?: Promise<unknown>;
  /** Edits the JSON of a successful answer of the endpoint itself. */
  transform?: (answer: Record<string, unknown>) => Promise<Record<string, unknown>> | Record<string, unknown>;
  /** Cuts the connection: before any header, or after the headers and half of the body. */
  reset?: 'before-headers' | 'after-headers';
  /** Sends headers at once and the body byte by byte, this many milliseconds apart. */
  dripMs?: number;
}

/** The faults of one endpoint: each of the queue is played once, then the standing one at every call. */
export interface FaultScript {
  queue: Fault[];
  standing: Fault | undefined;
}

/** A fault that keeps a call waiting until the test lets it go, and tells when it has arrived. */
export interface Gate {
  /** To be placed in a queue, alone or spread into another fault. */
  readonly fault: Pick<Fault, 'hold' | 'onArrival'>;
  /** Resolves at the first call that waits here. */
  readonly arrived: Promise<void>;
  /** Lets all waiting and later calls pass. */
  release(): void;
}

/** Makes a gate, closed at first. */
export function createGate(): Gate {
  const arrival = Promise.withResolvers<void>();
  const opening = Promise.withResolvers<void>();
  return {
    fault: { hold: opening.promise, onArrival: arrival.resolve },
    arrived: arrival.promise,
    release: opening.resolve,
  };
}

/** Takes the fault of the next call: queues before standing faults, and the first named point first. */
export function takeFault(
  faults: Record<FaultPoint, FaultScript>,
  points: readonly FaultPoint[],
): Fault | undefined {
  const scripts = points.map((point) => faults[point]);
  const queued = scripts.find((script) => script.queue.length > 0);
  if (queued !== undefined) return queued.queue.shift();
  return scripts.find((script) => script.standing !== undefined)?.standing;
}

/** The answer of a call under a fault. `closing` ends all waiting. */
export async function answerUnder(
  fault: Fault,
  produce: () => Promise<Answer>,
  closing: Promise<void>,
): Promise<Answer> {
  fault.onArrival?.();
  await waitAsTold(fault, closing);
  const forced = forcedAnswer(fault);
  if (forced !== undefined) return forced;
  const answer = await produce();
  const body =
    answer.status === 200 && fault.transform !== undefined && isRecord(answer.body)
      ? await fault.transform(structuredClone(answer.body))
      : answer.body;
  return { status: answer.status, headers: { ...answer.headers, ...lowerCase(fault.headers) }, body };
}

async function waitAsTold(fault: Fault, closing: Promise<void>): Promise<void> {
  if (fault.delayMs !== undefined) await Promise.race([elapsed(fault.delayMs), closing]);
  if (fault.hold !== undefined) await Promise.race([fault.hold, closing]);
}

/** Resolves after so many milliseconds, without keeping the process alive. */
export async function elapsed(milliseconds: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}

function forcedAnswer(fault: Fault): Answer | undefined {
  const headers = lowerCase(fault.headers);
  if (fault.redirectTo !== undefined) {
    return { status: fault.status ?? 302, headers: { location: fault.redirectTo, ...headers }, body: '' };
  }
  if (fault.body === undefined && fault.status === undefined) return undefined;
  if (typeof fault.body === 'object' && fault.body !== null && !(fault.body instanceof Uint8Array)) {
    return json(fault.body, fault.status, headers);
  }
  const text = { 'content-type': 'text/plain; charset=utf-8', ...headers };
  return { status: fault.status ?? 200, headers: text, body: fault.body ?? '' };
}

function lowerCase(headers: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
