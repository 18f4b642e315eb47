import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { listen } from './network.js';

/**
 * `pass` forwards; `hold` accepts connections and bytes, and forwards them once the mode is `pass` again; `refuse`
 * resets every new connection and keeps the open ones.
 */
export type ProxyMode = 'pass' | 'hold' | 'refuse';

/** A network between client and server that a test can fail. */
export interface TcpProxy {
  /** On 127.0.0.1. */
  readonly port: number;
  mode: ProxyMode;
  /** How many clients are connected now. */
  readonly connections: number;
  /** How many connections were refused so far. */
  readonly refused: number;
  /** Resets every open connection on both sides. */
  cut(): void;
  close(): Promise<void>;
}

/** The two sockets of one connection. */
class Link {
  readonly #client: Socket;
  readonly #target: Socket;

  constructor(client: Socket, target: Socket, onClose: () => void) {
    this.#client = client;
    this.#target = target;
    client.on('close', onClose);
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      // A reset is passed on as a reset; an orderly end travels through the pipe.
      socket.on('error', () => other.resetAndDestroy());
    }
  }

  pass(): void {
    this.hold(); // a second pipe would duplicate every byte
    this.#client.pipe(this.#target);
    this.#target.pipe(this.#client);
  }

  hold(): void {
    this.#client.unpipe();
    this.#target.unpipe();
  }

  cut(): void {
    this.#client.resetAndDestroy();
    this.#target.resetAndDestroy();
  }
}

/** Starts a proxy in front of a database; `url` leads through it. */
export async function startDatabaseProxy(direct: string): Promise<{ proxy: TcpProxy; url: string }> {
  const url = new URL(direct);
  const proxy = await startTcpProxy({ targetHost: url.hostname, targetPort: Number(url.port || 5432) });
  url.host = `127.0.0.1:${proxy.port}`;
  return { proxy, url: url.href };
}

/** Starts a proxy in mode `pass`, on a free port by default. */
export async function startTcpProxy(
  target: { targetHost: string; targetPort: number },
  at = 0,
): Promise<TcpProxy> {
  const links = new Set<Link>();
  let mode: ProxyMode = 'pass';
  let refused = 0;
  const cut = (): void => links.forEach((link) => link.cut());

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (mode === 'refuse') {
      refused += 1;
      client.resetAndDestroy();
      return;
    }
    const to = { host: target.targetHost, port: target.targetPort, allowHalfOpen: true };
    const link = new Link(client, connect(to), () => links.delete(link));
    links.add(link);
    if (mode === 'pass') link.pass();
  });
  const port = await listen(server, at);

  return {
    port,
    get mode() {
      return mode;
    },
    set mode(next) {
      mode = next;
      if (next !== 'refuse') links.forEach((link) => link[next]());
    },
    get connections() {
      return links.size;
    },
    get refused() {
      return refused;
    },
    cut,
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
