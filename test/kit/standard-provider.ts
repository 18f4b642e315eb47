import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { listen } from './listen.js';
import { Provider } from 'oidc-provider';
import {
  type Approval,
  completeInteraction,
  followToCallback,
  isInteraction,
} from './standard-provider-approval.js';
import { type Records, revokeGrants } from './standard-provider-records.js';
import { configure, type StandardPerson } from './standard-provider-settings.js';
import {
  handleTokenCall,
  countOutcomes,
  type TokenCalls,
  type TokenFault,
} from './standard-provider-token-calls.js';

export interface StandardProviderOptions {
  readonly people: readonly StandardPerson[];
  readonly redirectUris: readonly string[];
}

/**
 * An OpenID provider that follows the standards where Rollup ID does not: PKCE, nonce, `iss` in the callback (RFC 9207),
 * opaque refresh tokens that rotate, and revocation of the grant when one is reused.
 */
export interface StandardProvider {
  /** The issuer, and the origin of every endpoint. */
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
  readonly calls: TokenCalls;
  fault: TokenFault | undefined;
  /** For access tokens issued from now on. */
  accessTokenLifetimeSeconds: number;
  /** Signs in and consents, and returns the callback URL without fetching it. */
  approve(authorizationUrl: string, approval?: Approval): Promise<string>;
  /** Revokes every grant of a person. */
  revoke(sub: string): void;
  /** Throws an `AggregateError` when the provider failed internally. */
  close(): Promise<void>;
}

/** Starts the provider on a free port of 127.0.0.1, with one confidential client registered. */
export async function startStandardProvider(options: StandardProviderOptions): Promise<StandardProvider> {
  const { people, redirectUris } = options;
  const server = createServer();
  const url = `http://127.0.0.1:${await listen(server)}`;
  const records: Records = new Map();
  const problems: unknown[] = [];
  const standard: StandardProvider = {
    url,
    clientId: 'standard-client',
    clientSecret: randomBytes(24).toString('base64url'),
    redirectUris,
    calls: { token: 0, exchange: 0, refresh: 0, reuse: 0, refreshesBySub: new Map() },
    fault: undefined,
    accessTokenLifetimeSeconds: 3_600,
    async approve(authorizationUrl, { sub = people[0]?.sub, scopes } = {}) {
      if (sub === undefined || !people.some((person) => person.sub === sub)) throw new Error('unknown sub');
      return followToCallback(url, authorizationUrl, { sub, ...(scopes && { scopes: scopes.join(' ') }) });
    },
    revoke: (sub) => revokeGrants(records, ({ accountId }) => accountId === sub),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      if (problems.length > 0) throw new AggregateError(problems, 'the standard provider failed');
    },
  };
  const accessTokenLifetimeSeconds = (): number => standard.accessTokenLifetimeSeconds;
  const provider = new Provider(
    url,
    await configure({ ...standard, people, records, accessTokenLifetimeSeconds }),
  );
  const handle = route(provider, standard, problems);
  server.on('request', (request, response) => void handle(request, response));
  return standard;
}

function route(
  provider: Provider,
  standard: StandardProvider,
  problems: unknown[],
): ReturnType<Provider['callback']> {
  provider.silent = true; // Koa would print an error for each cut connection
  provider.on('server_error', (_ctx, error) => problems.push(error));
  countOutcomes(provider, standard.calls);
  provider.use(async (ctx, next) => {
    try {
      if (ctx.path === '/token') await handleTokenCall(ctx, next, standard);
      else if (isInteraction(ctx.path)) await completeInteraction(provider, standard.clientId, ctx);
      else await next();
    } catch (error) {
      if (!isLostConnection(error)) problems.push(error);
      throw error;
    }
  });
  return provider.callback();
}

function isLostConnection(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}
