import { fastify, type FastifyInstance } from 'fastify';
import { addPages } from '../pages/browser-routes.js';
import { createControls, type RollupId } from '../instruments/controls.js';
import { openProviderState, type ProviderSettings } from './provider-state.js';
import { addEndpoints } from './routes.js';

export type { RollupId } from '../instruments/controls.js';

/** The settings of a provider that listens. */
export interface RollupIdOptions extends ProviderSettings {
  /** Listen address; 127.0.0.1 by default. */
  readonly host?: string;
  /** A free port by default, or for 0. */
  readonly port?: number;
  /** The application's redirect URIs, compared by origin only; the provider's own `/app/callback` by default. */
  readonly redirectUris?: readonly string[];
}

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** Starts the embedded provider. */
export async function startRollupId(options: RollupIdOptions = {}): Promise<RollupId> {
  const { host = '127.0.0.1', port = 0 } = options;
  const state = await openProviderState(options);
  const closing = Promise.withResolvers<void>();
  const app = fastify({ forceCloseConnections: true, exposeHeadRoutes: false });
  acceptAnyContentType(app);
  if (LOOPBACK.has(host)) rejectForeignHosts(app);
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

// Bodies stay bytes: each endpoint parses the content types it supports, and none rejects the others.
function acceptAnyContentType(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

// DNS rebinding: another site could resolve its own name to the loopback address and act as a demo person.
function rejectForeignHosts(app: FastifyInstance): void {
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
