import { openDatabase } from '../../src/database/orm.js';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { type RollupId, startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { LinkRollupAccountDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import { openEmbeddedDatabase, type Server, startProcess } from './server.js';
import { type Provider, serverEnv, randomKey } from './server-env.js';
import { startDatabaseProxy, type TcpProxy } from './tcp-proxy.js';
import { createEmptyDatabase, createTestDatabase } from './test-database.js';
import { type TokenRows, tokenRows } from './token-rows.js';

export type { Server } from './server.js';

/** A linked account, and a bearer that lives longer than the stored token. */
export interface LinkedPerson {
  readonly accountId: string;
  readonly bearer: string;
  readonly sub: string;
  /** The access token that was stored. */
  readonly token: string;
}

/** The result of `renewAccessToken`: a token, or an error code. */
export interface Renewal {
  readonly token: string | undefined;
  readonly code: unknown;
  readonly retryAfterMs: number;
}

/** Several servers on one database with one provider that counts its calls. */
export interface Servers extends TokenRows {
  readonly rollup: RollupId;
  readonly servers: readonly Server[];
  /** The first of them. */
  readonly server: Server;
  /** Their settings. */
  readonly env: Readonly<Record<string, string>>;
  /** Starts one more on the same database. It is not added to `servers`, since its settings may differ. */
  add(env?: Readonly<Record<string, string>>): Promise<Server>;
  /** Links by tokens, through the first server by default. */
  linkPerson(person?: Person, server?: Server): Promise<LinkedPerson>;
  /** The same, and lets the stored token expire. */
  linkExpired(person?: Person): Promise<LinkedPerson>;
  renew(server: Server, bearer: string, input?: { minTtlSeconds?: number }): Promise<Renewal>;
  close(): Promise<void>;
}

/** Overrides of settings and dependencies. */
export interface ServersOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The provider's address as the servers see it, such as a proxy. */
  readonly provider?: (rollup: RollupId) => Promise<Partial<Provider>> | Partial<Provider>;
  /** The database URL as the servers see it, such as a proxy. Not called on the embedded database. */
  readonly databaseUrl?: (direct: string) => Promise<string> | string;
  /** Without tables: the servers migrate when they start. */
  readonly empty?: boolean;
}

const LIMITS = {
  // One subject sends the load of many; rate limits have their own tests.
  RATE_LIMIT_SUBJECT: '1000000',
  RATE_LIMIT_ADDRESS: '1000000',
  DATABASE_POOL_MAX: '5', // a stock PostgreSQL has 100 connections for all tests together
};

/** Starts `count` servers, or one on the embedded database. Always `close` it. */
export async function startServers(count: number, options: ServersOptions = {}): Promise<Servers> {
  const rollup = await startRollupId();
  const provider: Provider = { ...rollup, ...(await options.provider?.(rollup)) };
  const database = await (options.empty ? createEmptyDatabase() : createTestDatabase());
  const direct = database.env.DATABASE_URL;
  const env = {
    ...serverEnv(provider, rollup),
    ...LIMITS,
    TOKEN_KEYS: randomKey('k1'),
    ...database.env,
    ...(direct !== undefined && { DATABASE_URL: (await options.databaseUrl?.(direct)) ?? direct }),
    ...options.env,
  };
  const embedded = direct === undefined ? await openEmbeddedDatabase(database.env.DATA_DIR) : undefined;
  const inspected =
    embedded ?? (await openDatabase({ url: direct, dataDir: '', poolMax: 4, timeoutMs: 10_000 }));
  const started: Server[] = [];
  const add: Servers['add'] = async (extra) => {
    const settings = { ...env, ...extra };
    const server = embedded ? await embedded.start(settings) : await startProcess(settings);
    started.push(server);
    return server;
  };
  const close = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.stop('SIGKILL')));
    await inspected.close();
    await rollup.close();
    await database.close();
  };
  try {
    await Promise.all(Array.from({ length: embedded ? 1 : count }, () => add()));
  } catch (error) {
    await close();
    throw error;
  }
  const servers = [...started];
  const [server] = servers as [Server];
  const rows = tokenRows(() => inspected.em.fork());
  return {
    ...rows,
    rollup,
    servers,
    server,
    env,
    add,
    close,
    renew,
    linkPerson: (person, through = server) => linkPerson(through, rollup, provider.url, person),
    linkExpired: async (person) => {
      const linked = await linkPerson(server, rollup, provider.url, person);
      await rows.expire(linked.accountId);
      return linked;
    },
  };
}

/** Starts `count` servers behind one proxy that can cut their database off; the test itself connects directly. */
export async function startProxiedServers(
  count: number,
  env: Readonly<Record<string, string>>,
): Promise<Servers & { readonly proxy: TcpProxy }> {
  let proxy: TcpProxy | undefined;
  const databaseUrl = async (direct: string): Promise<string> => {
    const proxied = await startDatabaseProxy(direct);
    proxy = proxied.proxy;
    return proxied.url;
  };
  try {
    const world = await startServers(count, { env, databaseUrl });
    if (!proxy) throw new Error('the embedded database has no network');
    const cut = proxy;
    const close = async (): Promise<void> => {
      await world.close();
      await cut.close();
    };
    return { ...world, proxy, close };
  } catch (error) {
    await proxy?.close();
    throw error;
  }
}

async function renew({ ask }: Server, token: string, input = {}): Promise<Renewal> {
  const { data, errors } = await ask(RenewAccessTokenDocument, { input }, { token });
  const { code, retryAfterMs } = errors[0]?.extensions ?? {};
  const payload = errors.length > 0 ? undefined : data.renewAccessToken;
  return {
    token: payload?.accessToken ?? undefined,
    code: code ?? payload?.userErrors[0]?.code,
    retryAfterMs: Number(retryAfterMs ?? 0),
  };
}

/** Mints the tokens with `iss`, the issuer that the servers are configured with. */
async function linkPerson(
  { ask }: Server,
  rollup: RollupId,
  iss: string,
  person = createPerson(),
): Promise<LinkedPerson> {
  const mint = (kind: 'access' | 'id' | 'refresh', scopes = ['openid']): Promise<string> =>
    rollup.mint(kind, person, { scopes, claims: { iss } });
  const tokens = {
    accessToken: await mint('access'),
    idToken: await mint('id'),
    refreshToken: await mint('refresh'),
  };
  const { data, text } = await ask(LinkRollupAccountDocument, { input: { tokens } });
  const accountId = data?.linkRollupAccount.account?.id;
  if (accountId === undefined) throw new Error(text);
  // The bearer has all scopes that tests query; the stored token has only `openid`.
  const bearer = await mint('access', ['openid', 'profile', 'email']);
  return { accountId, bearer, sub: person.sub, token: tokens.accessToken };
}
