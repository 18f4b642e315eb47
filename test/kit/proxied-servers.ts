import { type Servers, startServers } from './servers.js';
import { startDatabaseProxy, type TcpProxy } from './tcp-proxy.js';

/** Servers whose way to the database a test can take away; the test's own look at it goes past the proxy. */
export interface ProxiedServers {
  readonly world: Servers;
  readonly proxy: TcpProxy;
  close(): Promise<void>;
}

/** Starts `count` servers behind one proxy. For PostgreSQL only: the embedded database has no network. */
export async function startProxiedServers(
  count: number,
  env: Readonly<Record<string, string>>,
): Promise<ProxiedServers> {
  const proxies: TcpProxy[] = [];
  const closeProxies = async (): Promise<void> => {
    for (const proxy of proxies) await proxy.close();
  };
  const databaseUrl = async (direct: string): Promise<string> => {
    const { proxy, url } = await startDatabaseProxy(direct);
    proxies.push(proxy);
    return url;
  };
  try {
    const world = await startServers(count, { env, databaseUrl });
    const [proxy] = proxies;
    if (!proxy) throw new Error('the embedded database has no network');
    return {
      world,
      proxy,
      close: async () => {
        await world.close();
        await closeProxies();
      },
    };
  } catch (error) {
    await closeProxies();
    throw error;
  }
}
