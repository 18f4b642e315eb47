import { join } from 'node:path';
import type { Config } from '../config.js';
import { readOrCreateKeys } from './generated-keys.js';
import { providerPorts, readRememberedPort, rememberPort, startOnFirst } from './provider-port.js';
import { createReadableLog } from './readable-log.js';
import { startRollupId } from './rollup-id/rollup-id.js';

/**
 * Starts or generates what the settings lack: the provider, its credentials and the key ring. The state of the provider
 * is of one process, which has claimed the data directory.
 */
export async function embed(config: Config) {
  const keys = config.vault.keys ?? readOrCreateKeys(config.database.dataDir);
  const { rollup, provider } = config.rollup ? { rollup: config.rollup } : await startProvider(config);
  const embeddedGalaxy = provider && { url: provider.galaxyUrl, apiKey: provider.galaxyKey };
  const renderGraphiql = async (): Promise<string> => {
    // The editor is 9 MB: loaded on first use.
    const { renderGraphiqlPage } = await import('./pages/graphiql.js');
    return renderGraphiqlPage(rollup.redirectUris[0] ?? '', provider?.url);
  };
  return {
    config: {
      ...config,
      rollup,
      galaxy: { ...config.galaxy, access: config.galaxy.access ?? embeddedGalaxy },
      vault: { ...config.vault, keys },
    },
    pages: [
      { path: '/', redirect: '/graphiql' },
      { path: '/graphiql', render: renderGraphiql },
    ],
    /** The embedded Rollup ID; undefined when the settings name an issuer. */
    rollupIdUrl: provider?.url,
    /** To be called once the server listens: a start that fails moves nothing. */
    rememberProvider: (warn: (text: string) => void): void => {
      if (provider) rememberProvider(config.database.dataDir, provider.url, warn);
    },
    /** Undefined for JSON lines, where nobody looks on. */
    logDestination: process.stdout.isTTY ? await createReadableLog(process.stdout) : undefined,
    close: async () => provider?.close(),
  };
}

async function startProvider({ http, rollupDevPort, database }: Config) {
  const remembered = readRememberedPort(database.dataDir);
  const provider = await startOnFirst(providerPorts({ http, rollupDevPort, remembered }), (port) =>
    startRollupId({
      port,
      statePath: join(database.dataDir, 'rollup-id.json'),
      graphiqlUrl: http.port === 0 ? undefined : `http://127.0.0.1:${http.port}/graphiql`,
    }),
  );
  const { url, clientId, clientSecret, redirectUris } = provider;
  return { provider, rollup: { issuer: url, clientId, clientSecret, redirectUris } };
}

/** The URL of the provider is the issuer of what is stored, so the next start should find it on the same port. */
function rememberProvider(dataDir: string, url: string, warn: (text: string) => void): void {
  const before = readRememberedPort(dataDir);
  const now = Number(new URL(url).port);
  rememberPort(dataDir, now);
  if (before === undefined || before === now) return;
  warn(
    `The embedded Rollup ID moved from port ${before} to ${now}: identities linked before rest until ROLLUP_DEV_PORT=${before} brings them back`,
  );
}
