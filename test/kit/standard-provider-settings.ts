import { randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair } from 'jose';
import { type Adapter, type AdapterPayload, type Configuration, errors } from 'oidc-provider';

/** Everything that the provider stores, by kind and id. */
export type Records = Map<string, AdapterPayload>;

/** The error detail that oidc-provider emits. */
export const REFRESH_TOKEN_USED = 'refresh token already used';

/** A person who can sign in. */
export interface StandardPerson {
  readonly sub: string;
  readonly name?: string;
  readonly picture?: string;
  readonly email?: string;
}

export interface Settings {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
  readonly people: readonly StandardPerson[];
  readonly records: Records;
  /** Called each time an access token is issued. */
  readonly accessTokenLifetimeSeconds: () => number;
}

/** oidc-provider issues signed access tokens only for a resource (RFC 8707). */
export const RESOURCE = 'urn:standard-provider:api';
const SCOPES = ['openid', 'profile', 'email'];
const DAY = 86_400;

/** Sets every option that oidc-provider would otherwise print a warning about. */
export async function configure(settings: Settings): Promise<Configuration> {
  const { people, records, accessTokenLifetimeSeconds } = settings;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return {
    adapter: (model) => createAdapter(model, records),
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'standard-1', alg: 'ES256', use: 'sig' }] },
    cookies: { keys: [randomBytes(24).toString('base64url')] },
    clients: [clientOf(settings)],
    scopes: SCOPES,
    claims: { openid: ['sub'], profile: ['name', 'picture'], email: ['email'] },
    conformIdTokenClaims: false, // userinfo accepts no access token that is bound to a resource
    findAccount: (_ctx, sub) => {
      const person = people.find((one) => one.sub === sub);
      return person && { accountId: sub, claims: () => ({ ...person }) };
    },
    pkce: { required: () => true },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    expiresWithSession: () => false,
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    clientBasedCORS: () => false,
    renderError: (ctx, out) => void (ctx.body = out),
    ttl: {
      AccessToken: accessTokenLifetimeSeconds,
      AuthorizationCode: 60,
      IdToken: 3_600,
      Interaction: 600,
      Session: DAY,
      Grant: DAY,
      RefreshToken: DAY,
    },
    features: {
      devInteractions: { enabled: false },
      revocation: {
        enabled: true,
        allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId,
      },
      rpInitiatedLogout: { enabled: false },
      resourceIndicators: signedAccessTokens(settings),
    },
  };
}

function clientOf({
  clientId,
  clientSecret,
  redirectUris,
}: Settings): NonNullable<Configuration['clients']>[number] {
  return {
    client_id: clientId,
    client_secret: clientSecret,
    redirect_uris: [...redirectUris],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_post',
    id_token_signed_response_alg: 'ES256',
  };
}

function signedAccessTokens({
  clientId,
}: Settings): NonNullable<Configuration['features']>['resourceIndicators'] {
  return {
    enabled: true,
    defaultResource: () => RESOURCE,
    useGrantedResource: () => true,
    getResourceServerInfo: () => ({
      scope: SCOPES.join(' '),
      audience: clientId,
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: 'ES256' } },
    }),
  };
}

/** Removes the grants that match, with their tokens and codes. */
export function revokeGrants(records: Records, matches: (grant: AdapterPayload) => boolean): void {
  for (const [key, grant] of records) {
    if (!key.startsWith('Grant:') || !matches(grant)) continue;
    records.delete(key);
    for (const [other, { grantId }] of records) if (grantId === grant.jti) records.delete(other);
  }
}

/** Stores one kind of record. oidc-provider checks the expiry. */
function createAdapter(model: string, records: Records): Adapter {
  const keyOf = (id: string): string => `${model}:${id}`;
  return {
    find: async (id) => copy(records.get(keyOf(id))),
    findByUid: async (uid) =>
      copy([...records].find(([key, record]) => key.startsWith(keyOf('')) && record.uid === uid)?.[1]),
    findByUserCode: async () => undefined,
    upsert: async (id, payload) => void records.set(keyOf(id), copy(payload)),
    destroy: async (id) => void records.delete(keyOf(id)),
    revokeByGrantId: async (grantId) => revokeGrants(records, ({ jti }) => jti === grantId),
    /** Atomic, unlike oidc-provider, which checks and consumes in two steps: two concurrent requests would both succeed. */
    async consume(id) {
      const record = records.get(keyOf(id));
      if (!record || record.consumed !== undefined) {
        revokeGrants(records, ({ jti }) => jti === record?.grantId);
        throw new errors.InvalidGrant(model === 'RefreshToken' ? REFRESH_TOKEN_USED : 'code already used');
      }
      record.consumed = Math.floor(Date.now() / 1_000);
    },
  };
}

/** A deep copy, as from a database: callers share no object with the store. */
function copy<T extends AdapterPayload | undefined>(payload: T): T {
  return payload && (JSON.parse(JSON.stringify(payload)) as T);
}
