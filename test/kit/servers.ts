import type { SqlEntityManager } from '@mikro-orm/sql';
import { openDatabase } from '../../src/database/orm.js';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { type RollupId, startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { LinkRollupAccountDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import { openEmbedded, type Server, startProcess } from './server.js';
import { createTestDatabase } from './test-database.js';
import { type Provider, randomKey } from './world.js';

export type { Server } from './server.js';

/** An account, and a bearer that outlives the stored token. */
export interface LinkedPerson {
  readonly accountId: string;
  readonly bearer: string;
  readonly sub: string;
  /** The access token that was stored. */
  readonly token: string;
}

/** What `renewAccessToken` came to: a token, or a code. */
export interface Renewal {
  readonly token: string | undefined;
  readonly code: unknown;
  readonly retryAfterMs: number;
}

/** Several servers on one database with one counting provider. */
export interface Servers {
  readonly rollup: RollupId;
  readonly servers: readonly Server[];
  /** The first of them. */
  readonly server: Server;
  /** The settings they run with. */
  readonly env: Readonly<Record<string, string>>;
  /** For looking at rows and for editing them, past the servers. */
  em(): SqlEntityManager;
  /** Starts one more on the same database. It is not among `servers`, as it may have settings of its own. */
  add(env?: Readonly<Record<string, string>>): Promise<Server>;
  /** Links through the first server when none is given. */
  linkPerson(person?: Person, server?: Server): Promise<LinkedPerson>;
  /** Lets time pass for a stored token: it ended `secondsAgo`, or lives that much longer when negative. */
  expire(accountId: string, secondsAgo?: number): Promise<void>;
  /** Lets time pass for a back-off or a lease. */
  elapse(accountId: string, column: 'retry_at' | 'lease_expires_at'): Promise<void>;
  renew(server: Server, bearer: string, input?: { minTtlSeconds?: number }): Promise<Renewal>;
  /** The row of `sealed_tokens`. */
  row(accountId: string): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Settings and parts that a test wants otherwise. */
export interface ServersOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The provider's address when the servers reach it another way, such as through a proxy. */
  readonly provider?: (rollup: RollupId) => Promise<Partial<Provider>> | Partial<Provider>;
  /** The database's URL when the servers reach it another way. `direct` is its own; without one it is embedded. */
  readonly databaseUrl?: (direct: string) => Promise<string> | string;
}

/** Whether there are processes: the embedded database is one process wide. */
export const ON_POSTGRES = Boolean(process.env['TEST_DATABASE_URL']);

/** Starts `count` servers, or one on the embedded database. Always `close` it. */
export async function startServers(count: number, options: ServersOptions = {}): Promise<Servers> {
  const rollup = await startRollupId();
  const provider: Provider = { ...rollup, ...(await options.provider?.(rollup)) };
  const database = await createTestDatabase();
  const direct = database.env.DATABASE_URL;
  const env = {
    NODE_ENV: 'test',
    PORT: '0',
    SHUTDOWN_DELAY_MS: '0',
    // One person does what a crowd would: limits have tests of their own.
    RATE_LIMIT_SUBJECT: '1000000',
    RATE_LIMIT_ADDRESS: '1000000',
    ROLLUP_ISSUER: provider.url,
    ROLLUP_CLIENT_ID: provider.clientId,
    ROLLUP_CLIENT_SECRET: provider.clientSecret,
    ROLLUP_REDIRECT_URIS: provider.redirectUris.join(','),
    GALAXY_URL: rollup.galaxyUrl,
    GALAXY_API_KEY: rollup.galaxyKey,
    TOKEN_KEYS: randomKey('k1'),
    DATABASE_POOL_MAX: '5', // a stock PostgreSQL has 100 connections for all tests at once
    ...database.env,
    ...(direct !== undefined && { DATABASE_URL: (await options.databaseUrl?.(direct)) ?? direct }),
    ...options.env,
  };
  const embedded = direct === undefined ? await openEmbedded(database.env.DATA_DIR) : undefined;
  const looking =
    embedded ?? (await openDatabase({ url: direct, dataDir: '', poolMax: 4, timeoutMs: 10_000 }));
  const em = (): SqlEntityManager => looking.em.fork();
  const started: Server[] = [];
  const add: Servers['add'] = async (extra) => {
    const settings = { ...env, ...extra };
    const server = embedded ? await embedded.start(settings) : await startProcess(settings);
    started.push(server);
    return server;
  };
  const close = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.stop('SIGKILL')));
    await looking.close();
    await rollup.close();
    await database.drop();
  };
  try {
    await Promise.all(Array.from({ length: embedded ? 1 : count }, () => add()));
  } catch (error) {
    await close();
    throw error;
  }
  const servers = [...started];
  const [server] = servers as [Server];
  return {
    rollup,
    servers,
    server,
    env,
    em,
    add,
    close,
    linkPerson: (person, through = server) => linkPerson(through, rollup, provider.url, person),
    expire: async (accountId, secondsAgo = 1) => {
      await em().execute(
        `update sealed_tokens set access_token_expires_at = clock_timestamp() - ? * interval '1 second'
         where account_id = ?`,
        [secondsAgo, accountId],
      );
    },
    elapse: async (accountId, column) => {
      await em().execute(`update sealed_tokens set ${column} = clock_timestamp() where account_id = ?`, [
        accountId,
      ]);
    },
    renew: async ({ ask }, token, input = {}) => {
      const { data, errors } = await ask(RenewAccessTokenDocument, { input }, { token });
      const { code, retryAfterMs } = errors[0]?.extensions ?? {};
      const payload = errors.length > 0 ? undefined : data.renewAccessToken;
      return {
        token: payload?.accessToken ?? undefined,
        code: code ?? payload?.userErrors[0]?.code,
        retryAfterMs: Number(retryAfterMs ?? 0),
      };
    },
    row: async (accountId) => {
      const [row] = await em().execute('select * from sealed_tokens where account_id = ?', [accountId]);
      return (row ?? {}) as Record<string, unknown>;
    },
  };
}

/** Links by tokens, and minted with the issuer that the servers know. */
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
  // The bearer may read everything that a request asks for; what is stored is none of its business.
  const bearer = await mint('access', ['openid', 'profile', 'email']);
  return { accountId, bearer, sub: person.sub, token: tokens.accessToken };
}
