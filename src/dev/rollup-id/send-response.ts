import type { FastifyReply } from 'fastify';
import { type Answer, bodyBytes } from './response.js';
import { elapsed, type Fault } from '../instruments/faults.js';

/** Puts an answer on the wire, in the way the fault tells, if there is one. */
export async function sendAnswer(reply: FastifyReply, answer: Answer, fault?: Fault): Promise<void> {
  if (fault?.reset === 'before-headers') {
    reply.hijack();
    reply.raw.socket?.resetAndDestroy();
  } else if (fault?.reset === 'after-headers') {
    await sendHalf(reply, answer);
  } else if (fault?.dripMs !== undefined) {
    await sendSlowly(reply, answer, fault.dripMs);
  } else {
    await reply.code(answer.status).headers(answer.headers).send(bodyBytes(answer.body));
  }
}

async function sendHalf(reply: FastifyReply, answer: Answer): Promise<void> {
  reply.hijack();
  const bytes = bodyBytes(answer.body);
  reply.raw.writeHead(answer.status, { ...answer.headers, 'content-length': bytes.length });
  await new Promise<void>((resolve) => {
    reply.raw.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => resolve());
  });
  // An orderly end of the connection: a reset would also drop the half the client has not read yet.
  reply.raw.socket?.destroy();
}

async function sendSlowly(reply: FastifyReply, answer: Answer, dripMs: number): Promise<void> {
  reply.hijack();
  const bytes = bodyBytes(answer.body);
  reply.raw.writeHead(answer.status, { ...answer.headers, 'content-length': bytes.length });
  reply.raw.flushHeaders();
  for (const byte of bytes) {
    await elapsed(dripMs);
    if (reply.raw.destroyed) return;
    reply.raw.write(Buffer.of(byte));
  }
  reply.raw.end();
}
