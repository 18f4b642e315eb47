import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { listen } from './network.js';
import { type KoaContextWithOIDC, Provider } from 'oidc-provider';
import {
  configure,
  type Records,
  RESOURCE,
  revokeGrants,
  type StandardPerson,
} from './standard-provider-settings.js';
import {
  handleTokenCall,
  countOutcomes,
  type TokenCalls,
  type TokenFault,
} from './standard-provider-token-calls.js';

export interface Approval {
  /** The person who signs in; the first one when absent. */
  readonly sub?: string;
  /** The granted scopes; all requested ones when absent. */
  readonly scopes?: readonly string[];
}

const MAX_REDIRECTS = 10;

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
  /** Called with each request to revoke, before the provider handles it; a promise delays it. */
  onRevocation: (() => Promise<void>) | undefined;
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
    calls: { token: 0, exchange: 0, refresh: 0, reuse: 0, revocation: 0, refreshesBySub: new Map() },
    fault: undefined,
    onRevocation: undefined,
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
      else {
        if (ctx.path === '/token/revocation') {
          standard.calls.revocation += 1;
          await standard.onRevocation?.();
        }
        await next();
      }
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

/** Acts as a new browser: follows redirects within the provider's origin and returns the first URL outside it. */
async function followToCallback(
  origin: string,
  authorizationUrl: string,
  query: Readonly<Record<string, string>>,
): Promise<string> {
  const jar = new Map<string, string>();
  let location = authorizationUrl;
  for (let hop = 0; hop < MAX_REDIRECTS; hop += 1) {
    const url = new URL(location, origin);
    if (url.origin !== origin) return location;
    if (isInteraction(url.pathname)) url.search = new URLSearchParams(query).toString();
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      jar.set(name, value);
    }
    const next = response.headers.get('location');
    if (next === null) throw new Error(`no redirect: status ${response.status} ${await response.text()}`);
    location = next;
  }
  throw new Error('too many redirects');
}

function isInteraction(path: string): boolean {
  return path.startsWith('/interaction/');
}

/** Signs in and grants as the query states, instead of the two pages that a person would see. */
async function completeInteraction(
  provider: Provider,
  clientId: string,
  ctx: Pick<KoaContextWithOIDC, 'req' | 'res' | 'respond' | 'query'>,
): Promise<void> {
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const accountId = String(ctx.query['sub']);
  const requested = String(params['scope']).split(' ');
  const granted = String(ctx.query['scopes'] ?? params['scope']).split(' ');
  const grant = new provider.Grant({ accountId, clientId });
  for (const scope of requested) {
    const verb = granted.includes(scope) ? 'add' : 'reject';
    grant[`${verb}OIDCScope`](scope);
    grant[`${verb}ResourceScope`](RESOURCE, scope);
  }
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result);
}
