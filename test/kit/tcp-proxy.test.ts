import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

describe('the TCP proxy', () => {
  let echo: Server;
  let proxy: TcpProxy;
  beforeAll(async () => {
    echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
  });
  beforeEach(async () => {
    const { port } = echo.address() as AddressInfo;
    proxy = await startTcpProxy({ targetHost: '127.0.0.1', targetPort: port });
  });
  afterEach(async () => await proxy.close());
  afterAll(async () => {
    echo.close();
    await once(echo, 'close');
  });

  async function dial(): Promise<Socket> {
    const socket = connect(proxy.port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  }
  const answer = async (socket: Socket): Promise<string> => String((await once(socket, 'data'))[0]);
  async function errorOf(socket: Socket): Promise<unknown> {
    const [error] = await once(socket, 'error');
    return (error as NodeJS.ErrnoException).code;
  }

  test('forwards both ways and an end too', async () => {
    const socket = await dial();
    socket.write('hello');
    expect(await answer(socket)).toBe('hello');
    expect(proxy.connections).toBe(1);
    socket.end();
    await once(socket, 'close');
  });

  test('holds bytes of old and new connections until it may pass them', async () => {
    const old = await dial();
    old.write('first');
    await answer(old);
    proxy.mode = 'hold';
    const seen: string[] = [];
    const young = await dial();
    for (const socket of [old, young]) socket.on('data', (bytes) => seen.push(String(bytes)));
    old.write('old');
    young.write('young');

    // A whole round trip past the proxy: time for a leak to show, without a sleep.
    const witness = connect((echo.address() as AddressInfo).port, '127.0.0.1');
    witness.end('witness');
    expect(await answer(witness)).toBe('witness');
    expect(seen).toEqual([]);

    const arrived = [once(old, 'data'), once(young, 'data')];
    proxy.mode = 'pass';
    await Promise.all(arrived);
    expect(seen.toSorted()).toEqual(['old', 'young']);
    old.destroy();
    young.destroy();
  });

  test('resets open connections when cut and new ones when it refuses', async () => {
    const open = await dial();
    open.write('hello');
    await answer(open);
    const lost = errorOf(open);
    proxy.cut();
    expect(await lost).toBe('ECONNRESET');
    proxy.mode = 'refuse';
    expect(await errorOf(connect(proxy.port, '127.0.0.1'))).toBe('ECONNRESET');
    proxy.mode = 'pass';
    const again = await dial();
    again.write('again');
    expect(await answer(again)).toBe('again');
    again.destroy();
  });
});
