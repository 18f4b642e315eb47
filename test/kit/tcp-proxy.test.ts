import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { listen } from './network.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

describe('the TCP proxy', () => {
  let echo: Server;
  let echoPort: number;
  let proxy: TcpProxy;
  beforeAll(async () => {
    echo = createServer((socket) => socket.on('error', () => {}).pipe(socket));
    echoPort = await listen(echo);
  });
  beforeEach(async () => (proxy = await startTcpProxy({ targetHost: '127.0.0.1', targetPort: echoPort })));
  afterEach(() => proxy.close());
  afterAll(async () => {
    echo.close();
    await once(echo, 'close');
  });

  async function dial(): Promise<Socket> {
    const socket = connect(proxy.port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  }
  const read = async (socket: Socket): Promise<string> => String((await once(socket, 'data'))[0]);
  async function errorOf(socket: Socket): Promise<unknown> {
    const [error] = await once(socket, 'error');
    return (error as NodeJS.ErrnoException).code;
  }

  test('forwards bytes in both directions, and the end of a connection', async () => {
    const socket = await dial();
    socket.write('hello');
    expect(await read(socket)).toBe('hello');
    expect(proxy.connections).toBe(1);
    socket.end();
    await once(socket, 'close');
  });

  test('holds bytes of old and new connections until the mode is pass again', async () => {
    const old = await dial();
    old.write('first');
    await read(old);
    proxy.mode = 'hold';
    const seen: string[] = [];
    const young = await dial();
    for (const socket of [old, young]) socket.on('data', (bytes) => seen.push(String(bytes)));
    old.write('old');
    young.write('young');

    // A whole round trip past the proxy gives leaked bytes the time to arrive, without a sleep.
    const witness = connect(echoPort, '127.0.0.1');
    witness.end('witness');
    expect(await read(witness)).toBe('witness');
    expect(seen).toEqual([]);

    const arrived = [once(old, 'data'), once(young, 'data')];
    proxy.mode = 'pass';
    await Promise.all(arrived);
    expect(seen.toSorted()).toEqual(['old', 'young']);
    old.destroy();
    young.destroy();
  });

  test('resets open connections on cut, and new ones in mode refuse', async () => {
    const open = await dial();
    open.write('hello');
    await read(open);
    const lost = errorOf(open);
    proxy.cut();
    expect(await lost).toBe('ECONNRESET');
    proxy.mode = 'refuse';
    expect(await errorOf(connect(proxy.port, '127.0.0.1'))).toBe('ECONNRESET');
    proxy.mode = 'pass';
    const again = await dial();
    again.write('again');
    expect(await read(again)).toBe('again');
    again.destroy();
  });
});
