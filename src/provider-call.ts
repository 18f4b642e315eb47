import { ProviderUnavailableError } from './errors.js';
import { type JsonObject, parseObject } from './json.js';

/** `fetch`, as a parameter: tests and proxies bring their own. */
export type Fetch = typeof globalThis.fetch;

/** One call to the provider: where, what, and how long and how much at the most. */
export interface ProviderCall {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  /** A form, or text whose `content-type` is among the headers. */
  readonly body?: URLSearchParams | string;
  /** Milliseconds for the whole call, the body included. */
  readonly timeoutMs: number;
}

/** A complete answer of the provider, whatever its status. */
export interface ProviderResponse {
  readonly status: number;
  /** Milliseconds that `Retry-After` asks for (RFC 9110 §10.2.3); 0 when absent or unreadable. */
  readonly retryAfterMs: number;
  readonly text: string;
}

/** No answer of Rollup ID is larger than a few kilobytes, but for pictures that are in the answer themselves. */
const MAX_RESPONSE_BYTES = 256 * 1024;

/** An answer of more bytes than are read: the cause of a `ProviderUnavailableError`. */
export class ResponseTooLargeError extends Error {
  constructor() {
    super(`the provider's answer is larger than ${MAX_RESPONSE_BYTES} bytes`);
  }
}

/**
 * Calls the provider once, without following redirects: a credential goes only where it was addressed.
 *
 * Throws `ProviderUnavailableError` when no complete answer came within the time and the size.
 */
export async function callProvider(fetch: Fetch, call: ProviderCall): Promise<ProviderResponse> {
  try {
    const response = await fetch(call.url, {
      method: call.method ?? 'GET',
      headers: { accept: 'application/json', ...call.headers },
      body: call.body ?? null,
      redirect: 'manual',
      signal: AbortSignal.timeout(call.timeoutMs),
    });
    const retryAfterMs = readRetryAfter(response.headers.get('retry-after'));
    return { status: response.status, retryAfterMs, text: await readBounded(response) };
  } catch (cause) {
    throw new ProviderUnavailableError(0, { cause });
  }
}

/** The JSON object of a 200 answer. Throws `ProviderUnavailableError` for every other answer. */
export function readJsonObject(answer: ProviderResponse): JsonObject {
  const value = answer.status === 200 ? parseObject(answer.text) : undefined;
  if (value) return value;
  throw new ProviderUnavailableError(answer.retryAfterMs, {
    cause: new Error(`the provider answered ${answer.status} without a JSON object to use`),
  });
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_RESPONSE_BYTES) throw new ResponseTooLargeError();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function readRetryAfter(value: string | null): number {
  if (value === null) return 0;
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1_000;
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1_000) : 0;
}
