import { type Servers, startServers } from './servers.js';
import { startDatabaseProxy, type TcpProxy } from './tcp-proxy.js';

/** Servers behind a proxy that can cut their database off; the test itself connects directly. */
export interface ProxiedServers {
  readonly world: Servers;
  readonly proxy: TcpProxy;
  close(): Promise<void>;
}

/** Starts `count` servers behind one proxy. Throws on the embedded database, which has no network. */
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
