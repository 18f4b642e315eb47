import { setTimeout } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';

/** An HTTP response: header names are in lower case, the body is text, bytes or a value sent as JSON. */
export interface EmulatorResponse {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

/** The transport part of a fault. */
export interface Transport {
  /** Closes the connection: before any header, or after the headers and half of the body. */
  reset?: 'before-headers' | 'after-headers';
  /** Sends the headers at once, then one byte of the body per this many milliseconds. */
  dripMs?: number;
}

/** A JSON response. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): EmulatorResponse {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body };
}

/** A response in plain text, or with bytes. */
export function text(body: unknown, status = 200, headers: Record<string, string> = {}): EmulatorResponse {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body };
}

/** Encodes a body. */
function bodyBytes(body: unknown): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body);
  return Buffer.from(JSON.stringify(body));
}

/** Sends a response with a faulty transport, if given. */
export async function sendResponse(
  reply: FastifyReply,
  response: EmulatorResponse,
  transport: Transport = {},
): Promise<void> {
  if (transport.reset === 'before-headers') {
    reply.hijack();
    reply.raw.socket?.resetAndDestroy();
  } else if (transport.reset === 'after-headers') {
    await sendHalf(reply, response);
  } else if (transport.dripMs !== undefined) {
    await sendSlowly(reply, response, transport.dripMs);
  } else {
    await reply.code(response.status).headers(response.headers).send(bodyBytes(response.body));
  }
}

async function sendHalf(reply: FastifyReply, response: EmulatorResponse): Promise<void> {
  const bytes = writeHead(reply, response);
  await new Promise<void>((resolve) => {
    reply.raw.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => resolve());
  });
  // FIN, not RST: a reset would also drop bytes that the client has not read yet.
  reply.raw.socket?.destroy();
}

async function sendSlowly(reply: FastifyReply, response: EmulatorResponse, dripMs: number): Promise<void> {
  const bytes = writeHead(reply, response);
  reply.raw.flushHeaders();
  for (const byte of bytes) {
    await setTimeout(dripMs, undefined, { ref: false });
    if (reply.raw.destroyed) return;
    reply.raw.write(Buffer.of(byte));
  }
  reply.raw.end();
}

/** Writes status and headers past the framework and returns the bytes of the body. */
function writeHead(reply: FastifyReply, response: EmulatorResponse): Buffer {
  reply.hijack();
  const bytes = bodyBytes(response.body);
  reply.raw.writeHead(response.status, { ...response.headers, 'content-length': bytes.length });
  return bytes;
}
