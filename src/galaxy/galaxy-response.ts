import { type AppError, ProviderMisconfiguredError, ProviderUnavailableError } from '../errors.js';
import { asObject, asObjects, asText, type JsonObject, parseObject } from '../json.js';
import type { ProviderResponse } from '../provider-call.js';
import {
  describeErrors,
  globalError,
  type GraphqlError,
  isMasked,
  readErrors,
  tokenError,
} from './galaxy-errors.js';

/** The profile of a person. */
export interface GalaxyProfile {
  readonly displayName: string | undefined;
  /** The picture; `isToken` when it is an NFT. */
  readonly pfp: { readonly image: string | undefined; readonly isToken: boolean } | undefined;
}

/** A connected account that a person made public. Galaxy may omit either field. */
export interface PublicAccount {
  /** Such as `github` or `eth`. */
  readonly type: string | undefined;
  /** The alias that the person gave it. */
  readonly identifier: string | undefined;
}

/** An application that a person authorized. */
export interface AuthorizedApp {
  readonly clientId: string;
  readonly title: string | undefined;
  readonly icon: string | undefined;
  readonly authorizedAt: Date | undefined;
}

/** The result of one field: its value, or why it failed. */
export type FieldResult<Value> = { readonly value: Value } | { readonly error: AppError };

/** What Galaxy returns for one identity. */
export interface GalaxyResponse {
  readonly profile: FieldResult<GalaxyProfile | undefined>;
  /** Only the accounts that the person made public. */
  readonly publicAccounts: FieldResult<readonly PublicAccount[]>;
  readonly authorizedApps: FieldResult<readonly AuthorizedApp[]>;
}

/**
 * Reads a response of Galaxy. Any entry in `errors` is a failure, also with status 200, where the errors of its guard
 * arrive masked. As every request carries a token, only a wrong API key makes the guard reject every field.
 *
 * Throws an error that would be the same for every account; one of this account only is in the fields.
 */
export function readGalaxyResponse(response: ProviderResponse): GalaxyResponse {
  const { status, text } = response;
  const body = parseObject(text);
  const data = asObject(body?.['data']);
  const errors = readErrors(body?.['errors']);
  const cause = new Error(describeErrors(status, errors));
  const global = globalError(response, errors, data !== undefined, cause);
  if (global) throw global;
  const rejected = tokenError(errors, cause);
  if (rejected) return allFailed(rejected);
  const unavailable = new ProviderUnavailableError(0, { cause });
  const fields = readFields(status === 200 ? data : undefined, errors, unavailable);
  const failed = errorsIn(fields).length;
  const nothing = status !== 200 || failed === Object.keys(fields).length;
  if (nothing && errors.every(isMasked)) throw new ProviderMisconfiguredError({ cause });
  // When no field can be identified as the failed one, none is trusted.
  return nothing || (failed === 0 && errors.length > 0) ? allFailed(unavailable) : fields;
}

/** The errors of the fields that failed. */
export function errorsIn(response: GalaxyResponse): AppError[] {
  return Object.values(response).flatMap((field) => ('error' in field ? field.error : []));
}

/** A response in which every field failed. */
export function allFailed(error: AppError): GalaxyResponse {
  return { profile: { error }, publicAccounts: { error }, authorizedApps: { error } };
}

/** A field failed when an error names it in its `path`. An error without a path is about every incomplete field. */
function readFields(
  data: JsonObject | undefined,
  errors: readonly GraphqlError[],
  error: AppError,
): GalaxyResponse {
  const read = <Value>(field: string, reader: (value: unknown) => Value): FieldResult<Value> => {
    const value = data?.[field];
    const failed = errors.some(({ path }) => (Array.isArray(path) ? path[0] === field : isIncomplete(value)));
    return failed ? { error } : { value: reader(value) };
  };
  return {
    profile: read('profile', readProfile),
    publicAccounts: read('connectedAccounts', (nodes) => asObjects(nodes).map(readNode)),
    authorizedApps: read('authorizedApps', (apps) => asObjects(apps).flatMap(readApp)),
  };
}

function isIncomplete(value: unknown): boolean {
  return (value ?? null) === null || (Array.isArray(value) && value.includes(null));
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
