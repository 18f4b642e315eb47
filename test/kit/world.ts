import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { type App, createApp } from '../../src/app.js';
import { type CompleteConfig, loadConfig } from '../../src/config.js';
import { type Database, openDatabase } from '../../src/database/orm.js';
import { type RollupId, startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { createLog } from '../../src/log.js';
import type { Fetch } from '../../src/provider-call.js';
import { findKeyProblems } from '../../src/vault/keyring.js';
import {
  LinkRollupAccountDocument,
  type LinkRollupAccountMutation,
  StartRollupLinkDocument,
  type StartRollupLinkMutation,
} from '../generated/graphql.js';
import { type Ask, createGraphqlClient } from './graphql-client.js';
import { createTestDatabase } from './test-database.js';

/** A clock that only a test moves. */
export interface Clock {
  readonly now: () => number;
  /** Does not follow `setBack`. */
  readonly monotonicNow: () => number;
  advance(ms: number): void;
  /** The machine's clock was ahead and is put right. */
  setBack(ms: number): void;
}

/** What a completed or refused link answers. */
export type LinkPayload = LinkRollupAccountMutation['linkRollupAccount'];
/** What a begun or refused link answers. */
export type StartPayload = StartRollupLinkMutation['startRollupLink'];

/** The server as its users meet it, with a database, a provider and a clock of its own. */
export interface World {
  readonly app: App;
  readonly config: CompleteConfig;
  readonly rollup: RollupId;
  readonly clock: Clock;
  readonly ask: Ask;
  readonly logLines: string[];
  /** Statements sent to the database, as text with placeholders. */
  readonly statements: string[];
  /** A second look at the rows; on the embedded database it shares the application's own connection. */
  readonly em: () => SqlEntityManager;
  start(scopes?: readonly string[], token?: string): Promise<StartPayload>;
  finish(begun: StartPayload, callbackUrl: string, token?: string): Promise<LinkPayload>;
  /** The whole flow: begin, approve as `person`, complete. */
  link(person: Person, options?: { scopes?: readonly string[]; token?: string }): Promise<LinkPayload>;
  /** Empties the database, the provider and the log. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** A provider that a test brings instead of the embedded Rollup ID. */
export interface Provider {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
}

/** Settings and parts that a test wants otherwise. */
export interface WorldOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly fetch?: Fetch;
  readonly provider?: Provider;
  /** How far the server's clock is ahead of the provider's; negative when it is behind. */
  readonly aheadMs?: number;
}

/** A valid `TOKEN_KEYS` entry with a key of its own. */
export function randomKey(kid: string): string {
  return `${kid}:${randomBytes(32).toString('base64url')}`;
}

/** Starts everything. Slow on the embedded database: once a file, with `reset` between tests. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const testDatabase = await createTestDatabase();
  const clock = createClock();
  const rollup = await startRollupId({ now: clock.now });
  const provider = options.provider ?? rollup;
  const config = loadConfig(
    {
      NODE_ENV: 'test',
      PORT: '0',
      SHUTDOWN_DELAY_MS: '0',
      LOG_LEVEL: 'trace',
      ROLLUP_ISSUER: provider.url,
      ROLLUP_CLIENT_ID: provider.clientId,
      ROLLUP_CLIENT_SECRET: provider.clientSecret,
      ROLLUP_REDIRECT_URIS: provider.redirectUris.join(','),
      GALAXY_URL: rollup.galaxyUrl,
      GALAXY_API_KEY: rollup.galaxyKey,
      TOKEN_KEYS: randomKey('k1'),
      JWKS_COOLDOWN_SECONDS: '0',
      ...testDatabase.env,
      ...options.env,
    },
    findKeyProblems,
  ) as CompleteConfig;
  const logLines: string[] = [];
  const statements: string[] = [];
  const secrets = [config.rollup.clientSecret, config.vault.keys, config.galaxy.access?.apiKey ?? ''];
  const log = createLog(config.logLevel, secrets, lineSink(logLines));
  const opened: Database[] = [];
  const app = await createApp(config, {
    log,
    now: () => clock.now() + (options.aheadMs ?? 0),
    monotonicNow: clock.monotonicNow,
    ...(options.fetch && { fetch: options.fetch }),
    openDatabase: async (settings, onStatement) => {
      const database = await openDatabase(settings, (sql) => {
        statements.push(sql);
        onStatement?.(sql);
      });
      opened.push(database);
      return database;
    },
  }).catch(async (error: unknown) => {
    await rollup.close();
    await testDatabase.drop();
    throw error;
  });
  const ask = createGraphqlClient(app.url);
  const em = (): SqlEntityManager => {
    const [database] = opened;
    if (!database) throw new Error('no database was opened');
    return database.em.fork();
  };
  const start: World['start'] = async (scopes = ['openid', 'profile', 'email'], token) => {
    const input = { redirectUri: config.rollup.redirectUris[0] ?? '', scopes: [...scopes] };
    return (await ask(StartRollupLinkDocument, { input }, { token })).data.startRollupLink;
  };
  const finish: World['finish'] = async (begun, url, token) => {
    const input = { callback: { url, linkToken: begun.linkToken ?? '' } };
    return (await ask(LinkRollupAccountDocument, { input }, { token })).data.linkRollupAccount;
  };
  return {
    app,
    config,
    rollup,
    clock,
    ask,
    logLines,
    statements,
    em,
    start,
    finish,
    link: async (person, { scopes, token } = {}) => {
      const begun = await start(scopes, token);
      return finish(begun, await rollup.approve(begun.authorizationUrl ?? '', { person }), token);
    },
    reset: async () => {
      await em().execute('truncate app_user, rollup_account, pending_link, sealed_tokens');
      await em().execute('update galaxy_slot set taken_at = to_timestamp(0)');
      rollup.reset();
      logLines.length = 0;
      statements.length = 0;
    },
    close: async () => {
      await app.close();
      await rollup.close();
      await testDatabase.drop();
    },
  };
}

function createClock(): Clock {
  let offset = 0;
  let ahead = 0;
  const monotonicNow = (): number => Date.now() + offset;
  return {
    now: () => monotonicNow() - ahead,
    monotonicNow,
    advance: (ms) => void (offset += ms),
    setBack: (ms) => void (ahead += ms),
  };
}

function lineSink(lines: string[]): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
}
