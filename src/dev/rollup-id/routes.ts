import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { CountedCall } from '../instruments/call-counts.js';
import { respondWithFault, type FaultPoint, nextFault } from '../instruments/faults.js';
import { handleGalaxy } from './galaxy.js';
import { ProviderError } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { originOf, readForm } from './request.js';
import { type EmulatorResponse, json, sendResponse, text } from './response.js';
import { handleToken, tokenRequestKind } from './token-endpoint.js';
import { unverifiedSubject } from './tokens.js';
import { handleUserinfo } from './userinfo.js';

type Handler = (state: ProviderState, request: FastifyRequest) => Promise<EmulatorResponse>;

/** Adds the API endpoints. `closing` ends the delays and holds of faults. */
export function addEndpoints(app: FastifyInstance, state: ProviderState, closing: Promise<void>): void {
  const respond = async (reply: FastifyReply, points: readonly FaultPoint[], handler: Handler) => {
    const fault = nextFault(state.switches.faults, points) ?? {};
    const handle = async () => handler(state, reply.request).catch(toErrorResponse);
    await sendResponse(reply, await respondWithFault(fault, handle, closing), fault);
  };
  const serve = (call: CountedCall & FaultPoint, handler: Handler) => {
    return async (_request: FastifyRequest, reply: FastifyReply) => {
      state.calls.count(call);
      await respond(reply, [call], handler);
    };
  };
  app.get('/.well-known/openid-configuration', serve('discovery', handleDiscovery));
  app.get('/.well-known/jwks.json', serve('jwks', handleKeys));
  app.get('/userinfo', serve('userinfo', handleUserinfo));
  app.get('/graphql', serve('galaxy', handleGalaxy));
  app.post('/graphql', serve('galaxy', handleGalaxy));
  app.post('/token', async (request, reply) => {
    const form = await readForm(request);
    const use = tokenRequestKind(form);
    state.calls.count(use, unverifiedSubject(form.get('refresh_token')));
    await respond(reply, [use, 'token'], async () => handleToken(state, originOf(request), form));
  });
  // Rollup ID's framework, for a method that a route does not support.
  const unsupported = text('Unexpected Server Error', 500);
  app.get('/token', async (_request, reply) => sendResponse(reply, unsupported));
  app.post('/userinfo', async (_request, reply) => sendResponse(reply, unsupported));
}

const handleDiscovery: Handler = async (_state, request) => json(discoveryDocument(originOf(request)));

/** The discovery document of an origin, with exactly Rollup ID's fields (OpenID Connect Discovery 1.0). */
function discoveryDocument(origin: string) {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    token_endpoint_auth_methods_supported: ['client_secret_post'],
    token_endpoint_auth_signing_alg_values_supported: ['ES256'],
    userinfo_endpoint: `${origin}/userinfo`,
    jwks_uri: `${origin}/.well-known/jwks.json`,
    scopes_supported: ['openid', 'profile', 'email'],
    response_types_supported: ['code'],
    subject_types_supported: ['public', 'pairwise'],
    userinfo_signing_alg_values_supported: ['ES256'],
    id_token_signing_alg_values_supported: ['ES256'],
    request_object_signing_alg_values_supported: ['ES256'],
    claims_supported: ['sub', 'iss'],
    service_documentation: 'https://docs.rollup.id/',
  };
}

const handleKeys: Handler = async ({ keys }) => json(keys.published());

function toErrorResponse(error: unknown): EmulatorResponse {
  if (error instanceof ProviderError) return error.response;
  throw error;
}
