import { fastify, type FastifyInstance } from 'fastify';
import { addPages } from '../pages/browser-routes.js';
import { createControls, type RollupId } from '../instruments/controls.js';
import type { Person } from './people.js';
import { openProviderState } from './provider-state.js';
import { addEndpoints } from './routes.js';

export type { RollupId } from '../instruments/controls.js';

/** How to start the embedded provider; everything has a default. */
export interface RollupIdOptions {
  /** Listen address; 127.0.0.1 by default. */
  readonly host?: string | undefined;
  /** 0, the default, picks a free one. */
  readonly port?: number | undefined;
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
  /** A JSON file that keeps keys, credentials and grants, so that a restart knows earlier tokens; memory only when absent. */
  readonly statePath?: string | undefined;
  /** Registered at the application, compared by origin alone; the provider's own `/app/callback` by default. */
  readonly redirectUris?: readonly string[] | undefined;
  /** Who can sign in; three demo people by default. */
  readonly people?: readonly Person[] | undefined;
  /** Where the pages send someone to run a mutation. */
  readonly graphiqlUrl?: string | undefined;
}

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** Starts the embedded provider. */
export async function startRollupId(options: RollupIdOptions = {}): Promise<RollupId> {
  const { host = '127.0.0.1', port = 0 } = options;
  const state = await openProviderState(options);
  const closing = Promise.withResolvers<void>();
  const app = fastify({ forceCloseConnections: true, exposeHeadRoutes: false });
  acceptEveryBody(app);
  if (LOOPBACK.has(host)) refuseForeignHosts(app);
  addEndpoints(app, state, closing.promise);
  addPages(app, state);
  await app.listen({ host, port });
  state.url = `http://${urlHost(host)}:${portOf(app)}`;
  state.redirectUris = options.redirectUris ?? [`${state.url}/app/callback`];
  return createControls(state, async () => {
    await app.close();
    closing.resolve();
  });
}

// Bodies stay bytes: each endpoint reads the content types it knows, and none refuses the others.
function acceptEveryBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

// A page of another site could point its own name at the loopback address and act as a demo person.
function refuseForeignHosts(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    const name = URL.parse(`http://${request.host}`)?.hostname.replaceAll(/^\[|\]$/g, '') ?? '';
    if (!LOOPBACK.has(name)) await reply.code(404).send();
  });
}

function portOf(app: FastifyInstance): number {
  const address = app.server.address();
  if (typeof address !== 'object' || address === null) throw new Error('The provider has no port');
  return address.port;
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
