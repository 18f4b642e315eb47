/** An HTTP response: header names are in lower case, the body is text, bytes or a value sent as JSON. */
export interface EmulatorResponse {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

/** A JSON response. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): EmulatorResponse {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body };
}

/** Encodes a body. */
export function bodyBytes(body: unknown): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body);
  return Buffer.from(JSON.stringify(body));
}
