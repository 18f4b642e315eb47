/** What an endpoint of the provider says: a status, headers in lower case and a body (text, bytes, or a value sent as JSON). */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

/** An answer whose body is sent as JSON. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body };
}

/** The bytes of a body as they go on the wire. */
export function bodyBytes(body: unknown): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body);
  return Buffer.from(JSON.stringify(body));
}
