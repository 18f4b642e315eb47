import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { leanFetch } from '../../src/fetch.js';
import { callProvider } from '../../src/provider-call.js';
import { listen } from '../kit/network.js';

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

describe('VLT-124 a call to the provider', () => {
  let server: Server;
  let url: string;
  let handle: Handle;
  let connections = 0;
  beforeEach(async () => {
    connections = 0;
    server = createServer((request, response) => handle(request, response));
    server.on('connection', () => void (connections += 1));
    url = `http://127.0.0.1:${await listen(server)}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  const call = (timeoutMs = 5_000) => callProvider(leanFetch, { url, timeoutMs });

  test('VLT-124 sends a form as one, and uses its connection again', async () => {
    const seen: unknown[] = [];
    handle = (request, response) => {
      const { method, headers } = request;
      const names = ['user-agent', 'content-type', 'content-length', 'accept-encoding'];
      seen.push([method, ...names.map((name) => headers[name])]);
      request.resume().once('end', () => response.end('{}'));
    };
    const body = new URLSearchParams({ grant_type: 'refresh_token' });
    for (let sent = 0; sent < 3; sent += 1) {
      const response = await callProvider(leanFetch, { url, method: 'POST', body, timeoutMs: 5_000 });
      expect(response).toEqual({ status: 200, retryAfterMs: 0, text: '{}' });
    }
    const form = 'application/x-www-form-urlencoded';
    expect(seen[0]).toEqual(['POST', 'rollup-accounts', form, '24', undefined]);
    expect(connections).toBe(1);
  });

  test('VLT-124 follows no redirect', async () => {
    handle = (_request, response) => void response.writeHead(307, { location: url }).end();
    expect((await call()).status).toBe(307);
    expect(connections).toBe(1);
  });

  test('VLT-124 ends at its deadline, before the head of a response and in its body', async () => {
    handle = () => undefined;
    await expect(call(50)).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    handle = (_request, response) => void response.write('{');
    const cause = { name: 'TimeoutError' };
    await expect(call(50)).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE', cause });
  });

  test('VLT-124 that is cut off is an outage, and the next one connects anew', async () => {
    handle = (request) => void request.socket.destroy();
    await expect(call()).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    handle = (_request, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('{');
      setImmediate(() => response.destroy());
    };
    await expect(call()).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    handle = (_request, response) => void response.end('{}');
    expect((await call()).text).toBe('{}');
    expect(connections).toBe(3);
  });
});
