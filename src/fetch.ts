import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** One HTTP request, as a parameter: tests and the doctor replace it. Rejects with what failed. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>;

export interface FetchInit {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  /** A form is sent with its content type. */
  readonly body: URLSearchParams | string | undefined;
  /** Milliseconds for the whole call, including the body of the response. */
  readonly timeoutMs: number;
}

/** As much of a `Response` as is used, so that one will do. */
export interface FetchResponse {
  readonly status: number;
  readonly headers: { readonly get: (name: string) => string | null };
  readonly body: AsyncIterable<Uint8Array> | null;
}

/** An idle connection is closed after so long, or sooner when the server says so: it may have closed it meanwhile. */
const CONNECTIONS = { keepAlive: true, timeout: 4_000 };
const http = { request: httpRequest, agent: new HttpAgent(CONNECTIONS) };
const https = { request: httpsRequest, agent: new HttpsAgent(CONNECTIONS) };
/** Firewalls refuse requests that name no program. */
const PROGRAM = { 'user-agent': 'rollup-accounts' };
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/**
 * Requests over kept connections by `node:http`, which take a fifth of the processor time of the global `fetch`. Redirects
 * are not followed, and nothing compressed is asked for.
 */
export const leanFetch: Fetch = (url, { method, headers, body, timeoutMs }) =>
  new Promise((resolve, reject) => {
    const target = new URL(url);
    const { request, agent } = target.protocol === 'https:' ? https : http;
    const content = body === undefined ? undefined : Buffer.from(body.toString());
    const length = content && { 'content-length': content.byteLength };
    const type = body instanceof URLSearchParams ? FORM : undefined;
    const sent = request(target, { method, agent, headers: { ...PROGRAM, ...type, ...headers, ...length } });
    let begun: IncomingMessage | undefined;
    // An `AbortSignal` takes as long as all the rest.
    const timer = setTimeout(() => (begun ?? sent).destroy(timeoutError(timeoutMs)), timeoutMs);
    sent.on('close', () => clearTimeout(timer));
    sent.on('error', reject);
    sent.once('response', (response) => {
      begun = response;
      const get = (name: string): string | null => response.headers[name]?.toString() ?? null;
      resolve({ status: response.statusCode ?? 0, headers: { get }, body: response });
    });
    sent.end(content);
  });

function timeoutError(timeoutMs: number): DOMException {
  return new DOMException(`no whole response in ${timeoutMs} ms`, 'TimeoutError');
}
