import { ProviderMisconfiguredError } from '../errors.js';
import type { JsonObject } from '../json.js';
import { callProvider, type Fetch, readJsonObject } from '../provider-call.js';

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
 * Fetches the discovery document. Throws `ProviderUnavailableError`, or `ProviderMisconfiguredError` when the document
 * belongs to another issuer or names an endpoint outside the issuer's origin.
 */
export async function discover(issuer: string, fetch: Fetch, timeoutMs: number): Promise<Endpoints> {
  const url = `${issuer}/.well-known/openid-configuration`;
  const document = readJsonObject(await callProvider(fetch, { url, timeoutMs }));
  if (document['issuer'] !== issuer) {
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
      document['revocation_endpoint'] === undefined
        ? undefined
        : endpoint(document, 'revocation_endpoint', issuer),
  };
}

/** Credentials are sent to the issuer's own origin only; this also makes every endpoint https when the issuer is. */
function endpoint(document: JsonObject, name: string, issuer: string): string {
  const value = document[name];
  if (typeof value === 'string' && URL.parse(value)?.origin === issuer) return value;
  throw new ProviderMisconfiguredError({
    cause: new Error(`discovery: ${name} is not on the issuer's origin`),
  });
}
