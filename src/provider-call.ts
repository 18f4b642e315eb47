import { ProviderUnavailableError } from './errors.js';
import type { Fetch, FetchResponse } from './fetch.js';
import { type JsonObject, parseObject } from './json.js';

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
      body: call.body,
      timeoutMs: call.timeoutMs,
    });
    const retryAfterMs = readRetryAfter(response.headers);
    return { status: response.status, retryAfterMs, text: await readBounded(response) };
  } catch (cause) {
    throw new ProviderUnavailableError(0, { cause });
  }
}

/** Whether the status is one of success, whichever (RFC 9110 §15.3): Rollup ID's manual says 201 where its code says 200. */
export function isSuccess({ status }: ProviderResponse): boolean {
  return status >= 200 && status < 300;
}

/** The JSON object of a successful response. Throws `ProviderUnavailableError` for every other response. */
export function readJsonObject(response: ProviderResponse): JsonObject {
  const value = isSuccess(response) ? parseObject(response.text) : undefined;
  if (value) return value;
  throw new ProviderUnavailableError(response.retryAfterMs, {
    cause: new Error(`the provider responded ${response.status} without a usable JSON object`),
  });
}

async function readBounded(response: FetchResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_RESPONSE_BYTES) throw new ResponseTooLargeError();
    chunks.push(chunk);
  }
  // Unlike a buffer's own, this decoding drops a byte order mark.
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** A date counts from the provider's own `Date`: its clock set both. */
function readRetryAfter(headers: FetchResponse['headers']): number {
  const value = headers.get('retry-after');
  if (value === null) return 0;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const sentAt = Date.parse(headers.get('date') ?? '');
  const ms = Date.parse(value) - (Number.isNaN(sentAt) ? Date.now() : sentAt);
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}
