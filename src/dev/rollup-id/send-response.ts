import { setTimeout } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { type EmulatorResponse, bodyBytes } from './response.js';
import type { Fault } from '../instruments/faults.js';

/** Sends a response with the transport part of a fault. */
export async function sendResponse(
  reply: FastifyReply,
  response: EmulatorResponse,
  fault: Fault = {},
): Promise<void> {
  if (fault.reset === 'before-headers') {
    reply.hijack();
    reply.raw.socket?.resetAndDestroy();
  } else if (fault.reset === 'after-headers') {
    await sendHalf(reply, response);
  } else if (fault.dripMs !== undefined) {
    await sendSlowly(reply, response, fault.dripMs);
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
