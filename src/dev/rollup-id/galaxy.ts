import { decodeJwt } from 'jose';
import { graphql, type GraphQLError } from 'graphql';
import { type Answer, json } from './response.js';
import { GALAXY_SCHEMA, galaxyFields } from './galaxy-schema.js';
import { ProviderError } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { decodeToken, verifyToken } from './tokens.js';

/** A GraphQL request to Galaxy, from a POST body or a query string. */
export interface GalaxyRequest {
  readonly query: string | undefined;
  readonly variables?: Record<string, unknown> | undefined;
  /** The `X-GALAXY-KEY` header. */
  readonly key: string | undefined;
  /** The `Authorization` header. */
  readonly authorization: string | undefined;
}

/** A refusal of Galaxy's guard, with the HTTP status it means. */
class GuardError extends Error {
  override readonly name = 'GuardError';

  constructor(
    message: string,
    readonly status?: number,
  ) {
    super(message);
  }
}

/** Answers Galaxy. Every caller counts as external, so accounts that are not public stay hidden. */
export async function answerGalaxy(state: ProviderState, request: GalaxyRequest): Promise<Answer> {
  if (request.query === undefined) {
    return json({ errors: [{ message: 'Must provide query string.' }] }, 400);
  }
  const admission = admit(state, request);
  // A field may never ask; an unobserved refusal must not end the process.
  admission.catch(() => undefined);
  const unauthenticated = (): Error => new GuardError('You are not authenticated!', 401);
  const result = await graphql({
    schema: GALAXY_SCHEMA,
    source: request.query,
    rootValue: galaxyFields(state, async () => await admission, unauthenticated),
    variableValues: request.variables,
  });
  if (result.errors === undefined) return json(result);
  const masked = state.switches.galaxyErrors === 'masked';
  const errors = result.errors.map((error) => present(error, masked));
  const status = errors.find((error) => error.status !== undefined)?.status ?? 200;
  return json({ ...result, errors: errors.map(({ shown }) => shown) }, status);
}

/** Runs the guards in Galaxy's order and returns the `sub` of the caller's token, if it sent one. */
async function admit(state: ProviderState, request: GalaxyRequest): Promise<string | undefined> {
  const token = request.authorization?.replace(/^Bearer /, '');
  if (token !== undefined) decoded(token);
  if (request.key === undefined || request.key === '') throw new GuardError('No API Key provided.', 400);
  const clientId = clientOfKey(request.key);
  if (request.key !== state.galaxyKey) throw new GuardError('Invalid API key provided.', 401);
  if (token === undefined) return undefined;
  const { aud, sub } = await verifyToken(state, token);
  if (![aud].flat().includes(clientId)) {
    throw new GuardError("Client ID in API key doesn't match with the one in JWT.", 401);
  }
  return sub;
}

function decoded(token: string): void {
  try {
    decodeToken(token, 'galaxy');
  } catch (error) {
    throw new GuardError(error instanceof Error ? error.message : 'Invalid JWT');
  }
}

function clientOfKey(key: string): string {
  try {
    const [, clientId] = decodeJwt(key).sub?.split('urn:rollupid:application/') ?? [];
    if (clientId !== undefined) return clientId;
  } catch {
    // Said below, like a key that is a JWT of something else.
  }
  throw new GuardError('Unable to validate given API key.', 401);
}

/** A token error keeps message and status even where the guard's errors are masked. */
function present(error: GraphQLError, masked: boolean): { shown: unknown; status?: number | undefined } {
  const cause = error.originalError;
  if (cause instanceof ProviderError) {
    const { status, body } = cause.answer;
    const { code, message, name } = body;
    return { shown: { code, message, name, extensions: { http: { status } } }, status };
  }
  if (!(cause instanceof GuardError)) return { shown: error };
  if (masked) return { shown: {} };
  const { message, status } = cause;
  const { locations, path } = error;
  const extensions = status === undefined ? undefined : { http: { status } };
  return { shown: { message, locations, path, extensions }, status };
}
