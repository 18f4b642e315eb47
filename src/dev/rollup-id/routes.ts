import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Answer, json } from './response.js';
import { discoveryDocument } from './discovery.js';
import { answerUnder, type FaultPoint, takeFault } from '../instruments/faults.js';
import { readForm } from './form-body.js';
import { answerGalaxy, type GalaxyRequest } from './galaxy.js';
import { ProviderError, unexpectedMethod } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { sendAnswer } from './send-response.js';
import { answerToken, tokenUse } from './token-endpoint.js';
import { subjectIn } from './tokens.js';
import { answerUserinfo } from './userinfo.js';

/** Adds the endpoints that programs call. `closing` ends waiting faults. */
export function addEndpoints(app: FastifyInstance, state: ProviderState, closing: Promise<void>): void {
  const play = async (
    reply: FastifyReply,
    points: readonly FaultPoint[],
    produce: () => Promise<Answer>,
  ): Promise<void> => {
    const answering = async (): Promise<Answer> => await produce().catch(errorAnswerOf);
    const fault = takeFault(state.switches.faults, points);
    const answer = fault === undefined ? await answering() : await answerUnder(fault, answering, closing);
    await sendAnswer(reply, answer, fault);
  };

  app.get('/.well-known/openid-configuration', async (request, reply) => {
    state.calls.count('discovery');
    await play(reply, ['discovery'], async () => json(discoveryDocument(originOf(request))));
  });
  app.get('/.well-known/jwks.json', async (_request, reply) => {
    state.calls.count('jwks');
    await play(reply, ['jwks'], async () => json(state.keys.published()));
  });
  app.post('/token', async (request, reply) => {
    const form = await readForm(request);
    const use = tokenUse(form);
    state.calls.count(use, subjectIn(form.get('refresh_token')));
    await play(reply, [use, 'token'], async () => await answerToken(state, originOf(request), form));
  });
  app.get('/userinfo', async (request, reply) => {
    state.calls.count('userinfo');
    const { authorization } = request.headers;
    await play(
      reply,
      ['userinfo'],
      async () => await answerUserinfo(state, originOf(request), authorization),
    );
  });
  app.get('/token', async (_request, reply) => await sendAnswer(reply, unexpectedMethod()));
  app.post('/userinfo', async (_request, reply) => await sendAnswer(reply, unexpectedMethod()));
  app.route({
    method: ['GET', 'POST'],
    url: '/graphql',
    handler: async (request, reply) => {
      state.calls.count('galaxy');
      await play(reply, ['galaxy'], async () => await answerGalaxy(state, readGalaxyRequest(request)));
    },
  });
}

/** The origin a request was sent to, which is the issuer of what it gets. */
export function originOf(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}`;
}

function errorAnswerOf(error: unknown): Answer {
  if (error instanceof ProviderError) return error.answer;
  throw error;
}

function readGalaxyRequest(request: FastifyRequest): GalaxyRequest {
  const { authorization, 'x-galaxy-key': key } = request.headers;
  const asked = request.method === 'GET' ? queryOf(request) : bodyOf(request);
  return { ...asked, authorization, key: typeof key === 'string' ? key : undefined };
}

function queryOf(request: FastifyRequest): Pick<GalaxyRequest, 'query' | 'variables'> {
  const parameters = new URL(request.url, originOf(request)).searchParams;
  const variables = parseRecord(parameters.get('variables') ?? '{}');
  return { query: parameters.get('query') ?? undefined, variables };
}

function bodyOf(request: FastifyRequest): Pick<GalaxyRequest, 'query' | 'variables'> {
  const { query, variables } = parseRecord(
    Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '',
  );
  return {
    query: typeof query === 'string' ? query : undefined,
    variables: isRecord(variables) ? variables : undefined,
  };
}

function parseRecord(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
