import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RollupId, startRollupId } from './rollup-id/rollup-id.js';

/** The settings that decide which dependencies are embedded. */
interface Settings {
  readonly http: { readonly port: number };
  readonly database: { readonly dataDir: string };
  readonly rollup?: RollupSettings | undefined;
  readonly rollupDevPort: number;
  readonly galaxy: { readonly access?: GalaxyAccess | undefined };
  readonly vault: { readonly keys?: string | undefined };
}

interface GalaxyAccess {
  readonly url: string;
  readonly apiKey: string;
}

interface RollupSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
}

/** The completed settings, and what was started for them. */
export interface Embedded<Given extends Settings> {
  readonly config: Given & {
    readonly rollup: RollupSettings;
    readonly vault: Given['vault'] & { readonly keys: string };
  };
  readonly pages: readonly { readonly path: string; readonly render: () => Promise<string> }[];
  /** The embedded Rollup ID; undefined when the settings name an issuer. */
  readonly rollupIdUrl: string | undefined;
  close(): Promise<void>;
}

/** Starts or generates what the settings lack: the provider, its credentials and the key ring. */
export async function embed<Given extends Settings>(config: Given): Promise<Embedded<Given>> {
  const { dataDir } = config.database;
  const keys = config.vault.keys ?? readOrCreateKeys(dataDir);
  const provider = config.rollup ? undefined : await startProvider(config);
  const rollup = config.rollup ?? credentials(provider);
  return {
    config: {
      ...config,
      rollup,
      galaxy: {
        ...config.galaxy,
        access: config.galaxy.access ?? (provider && { url: provider.galaxyUrl, apiKey: provider.galaxyKey }),
      },
      vault: { ...config.vault, keys },
    },
    pages: [
      {
        path: '/graphiql',
        render: async () => {
          // The editor is 9 MB: loaded on first use.
          const { renderGraphiqlPage } = await import('./pages/graphiql.js');
          return renderGraphiqlPage({
            redirectUri: rollup.redirectUris[0] ?? '',
            rollupIdUrl: provider?.url,
          });
        },
      },
    ],
    rollupIdUrl: provider?.url,
    close: async () => provider?.close(),
  };
}

function startProvider({ http, rollupDevPort, database }: Settings): Promise<RollupId> {
  return startRollupId({
    port: http.port === 0 ? 0 : rollupDevPort,
    statePath: join(database.dataDir, 'rollup-id.json'),
    graphiqlUrl: http.port === 0 ? undefined : `http://127.0.0.1:${http.port}/graphiql`,
  });
}

function credentials(provider: RollupId | undefined): RollupSettings {
  if (!provider) throw new Error('no provider was started');
  const { url, clientId, clientSecret, redirectUris } = provider;
  return { issuer: url, clientId, clientSecret, redirectUris };
}

function readOrCreateKeys(dataDir: string): string {
  const path = join(dataDir, 'token-keys');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(path, `dev-1:${randomBytes(32).toString('base64url')}\n`, { flag: 'wx', mode: 0o600 });
  } catch {
    // The file exists: the tokens in the database are sealed with its key.
  }
  return readFileSync(path, 'utf8').trim();
}
