import { fastify, type FastifyInstance } from 'fastify';
import { addDraining, type Draining } from '../../src/http/draining.js';
import { createGate } from '../../src/dev/instruments/faults.js';
import { connectRaw, type RawResponse } from '../kit/network.js';

const NEVER_MS = 1_000_000;

describe('draining', () => {
  let listener: FastifyInstance;
  let draining: Draining;
  let gate: ReturnType<typeof createGate>;
  let url: string;
  beforeEach(async () => {
    gate = createGate();
    listener = fastify();
    draining = addDraining(listener);
    listener.get('/quick', async () => ({}));
    listener.get('/slow', async () => {
      gate.fault.onArrival?.();
      await gate.fault.hold;
      return {};
    });
    url = await listener.listen({ port: 0 });
  });
  afterEach(async () => {
    gate.release();
    await listener.close();
  });

  test('HTP-10 a kept connection is closed with its next response, and not before', async () => {
    const connection = await connectRaw(url);
    expect(closes((await connection.send([get('/quick')]))[0])).toBe(false);
    await draining.drain(0, NEVER_MS);
    const responses = await connection.send([get('/quick'), get('/quick')]);
    expect(responses.map(closes)).toEqual([true]);
    connection.close();
  });

  test('HTP-10 waits for what is running, and still serves meanwhile', async () => {
    const slow = fetch(`${url}/slow`);
    await gate.arrived;
    let drained = false;
    const end = draining.drain(0, NEVER_MS).then(() => (drained = true));
    expect((await fetch(`${url}/quick`)).status).toBe(200);
    expect([draining.isDraining(), drained]).toEqual([true, false]);
    gate.release();
    expect((await slow).status).toBe(200);
    expect(await end).toBe(true);
  });

  test('HTP-10 waits no longer than its limit', async () => {
    const slow = fetch(`${url}/slow`);
    await gate.arrived;
    await draining.drain(0, 1);
    gate.release();
    expect((await slow).status).toBe(200);
  });
});

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
}

/** Whether the server announces that it closes the connection (RFC 9112 §9.6). */
function closes(response: RawResponse | undefined): boolean {
  return /^connection: close\r?$/im.test(response?.head ?? '');
}
