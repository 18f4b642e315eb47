import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { asObject, parseObject } from '../../json.js';
import { type EmulatorResponse, json, sendResponse } from './response.js';
import { discoveryDocument } from './discovery.js';
import { respondWithFault, type FaultPoint, nextFault } from '../instruments/faults.js';
import { originOf, readForm, urlOf } from './request.js';
import { handleGalaxy, type GalaxyRequest } from './galaxy.js';
import { ProviderError, unsupportedMethod } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { handleToken, tokenRequestKind } from './token-endpoint.js';
import { unverifiedSubject } from './tokens.js';
import { handleUserinfo } from './userinfo.js';

/** Adds the API endpoints. `closing` ends the delays and holds of faults. */
export function addEndpoints(app: FastifyInstance, state: ProviderState, closing: Promise<void>): void {
  const respond = async (
    reply: FastifyReply,
    points: readonly FaultPoint[],
    handler: () => Promise<EmulatorResponse>,
  ): Promise<void> => {
    const fault = nextFault(state.switches.faults, points) ?? {};
    const response = await respondWithFault(fault, () => handler().catch(toErrorResponse), closing);
    await sendResponse(reply, response, fault);
  };

  app.get('/.well-known/openid-configuration', async (request, reply) => {
    state.calls.count('discovery');
    await respond(reply, ['discovery'], async () => json(discoveryDocument(originOf(request))));
  });
  app.get('/.well-known/jwks.json', async (_request, reply) => {
    state.calls.count('jwks');
    await respond(reply, ['jwks'], async () => json(state.keys.published()));
  });
  app.post('/token', async (request, reply) => {
    const form = await readForm(request);
    const use = tokenRequestKind(form);
    state.calls.count(use, unverifiedSubject(form.get('refresh_token')));
    await respond(reply, [use, 'token'], async () => handleToken(state, originOf(request), form));
  });
  app.get('/userinfo', async (request, reply) => {
    state.calls.count('userinfo');
    const { authorization } = request.headers;
    await respond(reply, ['userinfo'], async () => handleUserinfo(state, originOf(request), authorization));
  });
  app.get('/token', async (_request, reply) => sendResponse(reply, unsupportedMethod()));
  app.post('/userinfo', async (_request, reply) => sendResponse(reply, unsupportedMethod()));
  const galaxy = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    state.calls.count('galaxy');
    await respond(reply, ['galaxy'], async () => handleGalaxy(state, readGalaxyRequest(request)));
  };
  app.get('/graphql', galaxy);
  app.post('/graphql', galaxy);
}

function toErrorResponse(error: unknown): EmulatorResponse {
  if (error instanceof ProviderError) return error.response;
  throw error;
}

function readGalaxyRequest(request: FastifyRequest): GalaxyRequest {
  const { authorization, 'x-galaxy-key': key } = request.headers;
  const parameters = request.method === 'GET' ? queryOf(request) : bodyOf(request);
  return { ...parameters, authorization, key: typeof key === 'string' ? key : undefined };
}

function queryOf(request: FastifyRequest): Pick<GalaxyRequest, 'query' | 'variables'> {
  const { searchParams } = urlOf(request);
  const variables = parseObject(searchParams.get('variables') ?? '');
  return { query: searchParams.get('query') ?? undefined, variables };
}

function bodyOf(request: FastifyRequest): Pick<GalaxyRequest, 'query' | 'variables'> {
  const body = parseObject(Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '');
  const query = body?.['query'];
  return { query: typeof query === 'string' ? query : undefined, variables: asObject(body?.['variables']) };
}
