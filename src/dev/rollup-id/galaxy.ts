import type { IncomingHttpHeaders } from 'node:http';
import { decodeJwt } from 'jose';
import type { FastifyRequest } from 'fastify';
import { graphql, type GraphQLError } from 'graphql';
import { asObject, parseObject } from '../../json.js';
import { GALAXY_SCHEMA, type GalaxyCaller, galaxyResolvers } from './galaxy-schema.js';
import { ProviderError } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { urlOf } from './request.js';
import { json } from './response.js';
import { decodeToken, verifyToken } from './tokens.js';

/** An error of Galaxy's guards, with its HTTP status. */
class GuardError extends Error {
  override readonly name = 'GuardError';
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** Handles a request to Galaxy. Every caller counts as external and sees public accounts only. */
export async function handleGalaxy(state: ProviderState, request: FastifyRequest) {
  const { query, variables } = readQuery(request);
  if (query === undefined) return json({ errors: [{ message: 'Must provide query string.' }] }, 400);
  const caller = authenticate(state, request.headers);
  // A query may have no field that awaits it, and an unhandled rejection would end the process.
  caller.catch(() => undefined);
  const target: GalaxyCaller['target'] = async (requested) => {
    const own = await caller;
    const sub = requested ?? own;
    if (sub === undefined) throw new GuardError('You are not authenticated!', 401);
    return sub;
  };
  const result = await graphql({
    schema: GALAXY_SCHEMA,
    source: query,
    rootValue: galaxyResolvers(state, { target, authenticate: () => caller }),
    variableValues: variables,
  });
  if (result.errors === undefined) return json(result);
  const masked = state.switches.galaxyErrors === 'masked';
  const errors = result.errors.map((error) => formatError(error, masked));
  const status = errors.find((error) => error.status !== undefined)?.status ?? 200;
  return json({ ...result, errors: errors.map(({ body }) => body) }, status);
}

function readQuery(request: FastifyRequest) {
  if (request.method === 'GET') {
    const { searchParams } = urlOf(request);
    const variables = parseObject(searchParams.get('variables') ?? '');
    return { query: searchParams.get('query') ?? undefined, variables };
  }
  const { query, variables } =
    parseObject(Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '') ?? {};
  return { query: typeof query === 'string' ? query : undefined, variables: asObject(variables) };
}

/** Runs the guards in Galaxy's order and returns the `sub` of the caller's token, if it sent one. */
async function authenticate(state: ProviderState, headers: IncomingHttpHeaders) {
  const token = headers.authorization?.replace(/^Bearer /, '');
  if (token !== undefined) checkTokenFormat(token);
  const key = headers['x-galaxy-key'];
  if (typeof key !== 'string' || key === '') throw new GuardError('No API Key provided.', 400);
  const clientId = clientIdOfKey(key);
  if (key !== state.galaxyKey) throw new GuardError('Invalid API key provided.', 401);
  if (token === undefined) return undefined;
  const { aud, sub } = await verifyToken(state, token);
  if (![aud].flat().includes(clientId)) {
    throw new GuardError("Client ID in API key doesn't match with the one in JWT.", 401);
  }
  return sub;
}

function checkTokenFormat(token: string): void {
  try {
    decodeToken(token, 'galaxy');
  } catch (error) {
    throw new GuardError(error instanceof Error ? error.message : 'Invalid JWT');
  }
}

function clientIdOfKey(key: string): string {
  try {
    const [, clientId] = decodeJwt(key).sub?.split('urn:rollupid:application/') ?? [];
    if (clientId !== undefined) return clientId;
  } catch {
    // Same error as a JWT with another subject.
  }
  throw new GuardError('Unable to validate given API key.', 401);
}

/** Formats an error. Token errors keep message and status even where guard errors are masked. */
function formatError(error: GraphQLError, masked: boolean) {
  const cause = error.originalError;
  if (cause instanceof ProviderError) {
    const { status } = cause.response;
    const { code, message, name } = cause.response.body;
    return { body: { code, message, name, extensions: { http: { status } } }, status };
  }
  if (!(cause instanceof GuardError)) return { body: error };
  if (masked) return { body: {} };
  const { message, status } = cause;
  const { locations, path } = error;
  const extensions = status === undefined ? undefined : { http: { status } };
  return { body: { message, locations, path, extensions }, status };
}
