import { ProviderUnavailableError } from './errors.js';
import { type JsonObject, parseObject } from './json.js';

/** `fetch` as a parameter: tests and proxies replace it. */
export type Fetch = typeof globalThis.fetch;

/** One HTTP call to the provider. */
export interface ProviderCall {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  /** A form, or text whose `content-type` is in `headers`. */
  readonly body?: URLSearchParams | string;
  /** Milliseconds for the whole call, including the body. */
  readonly timeoutMs: number;
}

/** A complete response of the provider, with any status. */
export interface ProviderResponse {
  readonly status: number;
  /** `Retry-After` in milliseconds (RFC 9110 §10.2.3); 0 when absent or unreadable. */
  readonly retryAfterMs: number;
  readonly text: string;
}

/** Responses of Rollup ID have a few kilobytes, except for pictures embedded as data URLs. */
const MAX_RESPONSE_BYTES = 256 * 1024;

/** The response exceeds the size limit: the cause of a `ProviderUnavailableError`. */
export class ResponseTooLargeError extends Error {
  constructor() {
    super(`the provider's response is larger than ${MAX_RESPONSE_BYTES} bytes`);
  }
}

/**
 * Calls the provider once. Redirects are not followed: credentials go to `url` only.
 *
 * Throws `ProviderUnavailableError` unless a complete response arrives within the limits of time and size.
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

/** The JSON object of a 200 response. Throws `ProviderUnavailableError` for every other response. */
export function readJsonObject(response: ProviderResponse): JsonObject {
  const value = response.status === 200 ? parseObject(response.text) : undefined;
  if (value) return value;
  throw new ProviderUnavailableError(response.retryAfterMs, {
    cause: new Error(`the provider responded ${response.status} without a usable JSON object`),
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
