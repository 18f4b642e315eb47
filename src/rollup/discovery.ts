import { ProviderMisconfiguredError, ProviderUnavailableError } from '../errors.js';
import { asText, type JsonObject } from '../json.js';
import type { Fetch } from '../fetch.js';
import { callProvider, readJsonObject } from '../provider-call.js';

/** The provider's endpoints, from its discovery document (OpenID Connect Discovery §3). */
export interface Endpoints {
  readonly authorization: string;
  readonly token: string;
  readonly userinfo: string;
  readonly jwks: string;
  /** Token revocation (RFC 7009); Rollup ID has no such endpoint. */
  readonly revocation: string | undefined;
}

/**
 * Fetches the discovery document.
 *
 * Throws `ProviderMisconfiguredError` for the document of another issuer, or one that names an endpoint outside the
 * issuer's origin, and `ProviderUnavailableError` for everything that is no whole document: a gateway may respond 200
 * and mean an outage.
 */
export async function discover(issuer: string, fetch: Fetch, timeoutMs: number): Promise<Endpoints> {
  const url = `${issuer}/.well-known/openid-configuration`;
  const document = readJsonObject(await callProvider(fetch, { url, timeoutMs }));
  // What names an issuer and its keys is surely the document of one.
  const [named] = ['issuer', 'jwks_uri'].map((name) => textIn(document, name));
  if (named !== issuer) {
    throw new ProviderMisconfiguredError({
      cause: new Error('discovery names another issuer than ROLLUP_ISSUER'),
    });
  }
  return {
    authorization: endpoint(document, 'authorization_endpoint', issuer),
    token: endpoint(document, 'token_endpoint', issuer),
    userinfo: endpoint(document, 'userinfo_endpoint', issuer),
    jwks: endpoint(document, 'jwks_uri', issuer),
    revocation:
      (document['revocation_endpoint'] ?? null) === null
        ? undefined
        : endpoint(document, 'revocation_endpoint', issuer),
  };
}

/** Credentials are sent to the issuer's own origin only; this also makes every endpoint https when the issuer is. */
function endpoint(document: JsonObject, name: string, issuer: string): string {
  const value = textIn(document, name);
  if (URL.parse(value)?.origin === issuer) return value;
  throw new ProviderMisconfiguredError({
    cause: new Error(`discovery: ${name} is not on the issuer's origin`),
  });
}

function textIn(document: JsonObject, name: string): string {
  const value = asText(document[name]);
  if (value !== undefined) return value;
  throw new ProviderUnavailableError(0, { cause: new Error(`discovery: no ${name}`) });
}
