import { type AppError, ProviderMisconfiguredError, ProviderUnavailableError } from '../errors.js';
import { asObject, asObjects, asText, type JsonObject, parseObject } from '../json.js';
import type { ProviderResponse } from '../provider-call.js';

/** How a person shows themselves in the profile graph. */
export interface GalaxyProfile {
  readonly displayName: string | undefined;
  /** The picture; `isToken` when it is an NFT. */
  readonly pfp: { readonly image: string | undefined; readonly isToken: boolean } | undefined;
}

/** A connected account that a person made public; absent is what Galaxy left out. */
export interface PublicAccount {
  /** Such as `github` or `eth`. */
  readonly type: string | undefined;
  /** The alias that the person gave it. */
  readonly identifier: string | undefined;
}

/** An application that a person let in. */
export interface AuthorizedApp {
  readonly clientId: string;
  readonly title: string | undefined;
  readonly icon: string | undefined;
  readonly authorizedAt: Date | undefined;
}

/** One field of an answer: what it says, or why it says nothing. */
export type Part<Value> = { readonly value: Value } | { readonly error: AppError };

/** What Galaxy says of one identity. */
export interface GalaxyResponse {
  readonly profile: Part<GalaxyProfile | undefined>;
  /** Those alone that the person made public. */
  readonly publicAccounts: Part<readonly PublicAccount[]>;
  readonly authorizedApps: Part<readonly AuthorizedApp[]>;
}

/** Words of Galaxy for a token it does not take; they keep their message where its other errors lose theirs. */
const TOKEN_FAULTS = new Set([
  'expired token',
  'invalid token',
  'token verification failed',
  'token claim validation failed',
  'Invalid JWT',
]);
/** Words of Galaxy's guard: the key is missing or wrong. */
const KEY_FAULTS = new Set([
  'No API Key provided.',
  'Unable to validate given API key.',
  'Invalid API key provided.',
  'You are not authenticated!',
  'You are not authorized!',
]);
/** Words of Galaxy's guard: the token was issued to another application, or under another name of this one. */
const FOREIGN_FAULTS = new Set([
  "Client ID in API key doesn't match with the one in JWT.",
  'The access token issuer does not match',
]);
const RETRY_LATER = new Set([408, 425, 429]);

/**
 * Reads an answer. Any entry in `errors` is a failure, also with status 200, where errors of the guard arrive as empty
 * objects. With the token we send, only our own key makes the guard say no to every field.
 *
 * Throws what would meet every account; what is about this one alone is in the parts.
 */
export function readGalaxyResponse({ status, retryAfterMs, text }: ProviderResponse): GalaxyResponse {
  const body = parseObject(text);
  const errors = body?.['errors'];
  const faults = Array.isArray(errors) ? errors.map((fault: unknown) => asObject(fault) ?? {}) : [];
  const data = asObject(body?.['data']);
  const cause = new Error(describe(status, faults));
  const ofThisAccount = new ProviderUnavailableError(0, { cause });
  if (status >= 500 || RETRY_LATER.has(status)) throw new ProviderUnavailableError(retryAfterMs, { cause });
  if (faults.some(isAboutUs)) throw new ProviderMisconfiguredError({ cause });
  if (faults.some(isWordOf(FOREIGN_FAULTS))) return everyPart(new ProviderMisconfiguredError({ cause }));
  if (faults.some(isWordOf(TOKEN_FAULTS))) return everyPart(ofThisAccount);
  if (status === 200 && !data && faults.length === 0)
    throw new ProviderUnavailableError(retryAfterMs, { cause });
  const parts = readParts(status === 200 ? data : undefined, faults, ofThisAccount);
  const failed = failuresIn(parts).length;
  const nothing = status !== 200 || failed === Object.keys(parts).length;
  if (nothing && faults.every(isUnnamed)) throw new ProviderMisconfiguredError({ cause });
  // Where it cannot be seen which field has failed, none can be trusted.
  return nothing || (failed === 0 && faults.length > 0) ? everyPart(ofThisAccount) : parts;
}

/** A field has failed that an error names; an error that names none is about those that lack something. */
function readParts(
  data: JsonObject | undefined,
  faults: readonly JsonObject[],
  error: AppError,
): GalaxyResponse {
  const read = <Value>(field: string, reader: (value: unknown) => Value): Part<Value> => {
    const value = data?.[field];
    const failed = faults.some(({ path }) =>
      Array.isArray(path) ? path[0] === field : lacksSomething(value),
    );
    return failed ? { error } : { value: reader(value) };
  };
  return {
    profile: read('profile', readProfile),
    publicAccounts: read('connectedAccounts', (nodes) => asObjects(nodes).map(readNode)),
    authorizedApps: read('authorizedApps', (apps) => asObjects(apps).flatMap(readApp)),
  };
}

/** Why parts of an answer are missing. */
export function failuresIn(answer: GalaxyResponse): AppError[] {
  return Object.values(answer).flatMap((part) => ('error' in part ? part.error : []));
}

/** An answer that says nothing, and why. */
export function everyPart(error: AppError): GalaxyResponse {
  return { profile: { error }, publicAccounts: { error }, authorizedApps: { error } };
}

function lacksSomething(value: unknown): boolean {
  return (value ?? null) === null || (Array.isArray(value) && value.includes(null));
}

/** A key that is refused, or a query that Galaxy cannot answer: no account would fare better. */
function isAboutUs(fault: JsonObject): boolean {
  const { locations, path } = fault;
  return isWordOf(KEY_FAULTS)(fault) || (locations !== undefined && path === undefined);
}

function isUnnamed({ message, path }: JsonObject): boolean {
  return message === undefined && path === undefined;
}

function isWordOf(words: ReadonlySet<string>): (fault: JsonObject) => boolean {
  return ({ message }) => words.has(String(message));
}

/** For the log: Galaxy's own words only when they are from its known lists. */
function describe(status: number, faults: readonly JsonObject[]): string {
  const words = faults.map((fault) => {
    if ([TOKEN_FAULTS, KEY_FAULTS, FOREIGN_FAULTS].some((list) => isWordOf(list)(fault)))
      return String(fault['message']);
    if (isUnnamed(fault)) return 'an error without a message';
    return isAboutUs(fault) ? 'a query it cannot answer' : 'another error';
  });
  return `Galaxy answered ${status} ${words.length > 0 ? `with: ${words.join('; ')}` : 'without an answer to use'}`;
}

function readProfile(value: unknown): GalaxyProfile | undefined {
  const profile = asObject(value);
  const pfp = asObject(profile?.['pfp']);
  return (
    profile && {
      displayName: asText(profile['displayName']),
      pfp: pfp && { image: asText(pfp['image']), isToken: pfp['isToken'] === true },
    }
  );
}

/** A node of the graph: `rc` tells the kind, `qc` the alias that the person gave it. */
function readNode({ qc, rc }: JsonObject): PublicAccount {
  return { type: asText(asObject(rc)?.['addr_type']), identifier: asText(asObject(qc)?.['alias']) };
}

function readApp({ clientId, title, icon, timestamp }: JsonObject): AuthorizedApp[] {
  const id = asText(clientId);
  if (id === undefined) return [];
  const at = new Date(typeof timestamp === 'number' ? timestamp : Number.NaN);
  const authorizedAt = Number.isNaN(at.getTime()) ? undefined : at;
  return [{ clientId: id, title: asText(title), icon: asText(icon), authorizedAt }];
}
