import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import {
  CodeRejectedError,
  LinkNotFoundError,
  RedirectUriNotAllowedError,
  ScopeNotAllowedError,
} from '../errors.js';
import { type Grant, verifyGrant } from '../rollup/grant.js';
import type { AuthorizationRequest, RollupClient } from '../rollup/rollup-client.js';
import { networkOf } from '../network.js';
import { isScopeName } from '../scope.js';
import type { VerifierOptions } from '../rollup/token-verifier.js';
import { callbackFailure, matchesRedirectUri, parseCallback } from './callback-url.js';
import { consumePendingLink, type PendingLinkRecord, insertPendingLink } from './pending-link.repository.js';
import type { AccountsSettings } from './settings.js';

/** The parameters of a link that begins. */
export type LinkRequest = Pick<AuthorizationRequest, 'redirectUri' | 'scopes' | 'forceConsent'>;

/** Where to send the browser, and the secret that completes the link. */
export interface BegunLink {
  readonly authorizationUrl: string;
  readonly state: string;
  /** For the one who began only; never part of a URL. */
  readonly linkToken: string;
  readonly expiresAt: Date;
}

/** What attempts depend on. `em` is forked for every unit of work. */
export interface LinkAttemptDeps extends AccountsSettings {
  readonly em: SqlEntityManager;
  readonly client: RollupClient;
  readonly verifier: VerifierOptions;
  readonly redirectUris: readonly string[];
}

/** The result of an attempt: a verified grant, and the user who began it, unless the caller was anonymous. */
export interface RedeemedLink {
  readonly grant: Grant;
  readonly userId: string | undefined;
}

/**
 * Stores an attempt, begun from an IP address, and returns where to send the browser.
 *
 * Throws `RedirectUriNotAllowedError`, `ScopeNotAllowedError`, `ProviderUnavailableError` or
 * `ProviderMisconfiguredError`.
 */
export async function beginLink(
  deps: LinkAttemptDeps,
  request: LinkRequest,
  address: string,
  userId?: string,
): Promise<BegunLink> {
  const { em, client, redirectUris, allowedScopes } = deps;
  const { redirectUri, forceConsent } = request;
  if (!redirectUris.includes(redirectUri)) throw new RedirectUriNotAllowedError();
  const scopes = [...new Set(request.scopes)];
  const allowed = scopes.every((scope) => isScopeName(scope) && allowedScopes.includes(scope));
  if (scopes.length === 0 || !allowed) throw new ScopeNotAllowedError();
  const [state, nonce, linkToken] = [secret(), secret(), secret()];
  const codeChallenge = createHash('sha256').update(codeVerifierOf(linkToken)).digest('base64url');
  const authorizationUrl = await client.authorizationUrl({
    redirectUri,
    scopes,
    state,
    nonce,
    codeChallenge,
    forceConsent,
  });
  const attempt: PendingLinkRecord = {
    stateHash: hash(state),
    linkTokenHash: hash(linkToken),
    nonceHash: hash(nonce),
    redirectUri,
    userId: userId ?? null,
    addressHash: hash(networkOf(address)),
  };
  const expiresAt = await insertPendingLink(em.fork(), attempt, deps);
  return { authorizationUrl, state, linkToken, expiresAt };
}

/**
 * Exchanges the URL that the browser came back to for a grant. The attempt is consumed before the provider is called; a
 * code is sent once and never again by itself.
 *
 * Throws `LinkNotFoundError`, `AccessDeniedError`, `CodeRejectedError`, `TokenRejectedError`, `SubjectMismatchError`,
 * `ProviderUnavailableError` or `ProviderMisconfiguredError`.
 */
export async function redeemLink(
  { em, client, verifier }: LinkAttemptDeps,
  url: string,
  linkToken: string,
  userId?: string,
): Promise<RedeemedLink> {
  const callback = parseCallback(url);
  const by = { stateHash: hash(callback.state), linkTokenHash: hash(linkToken), userId };
  const attempt = await consumePendingLink(em.fork(), by);
  if (!attempt || !matchesRedirectUri(callback, attempt.redirectUri)) throw new LinkNotFoundError();
  if (callback.issuer !== undefined && callback.issuer !== verifier.issuer.issuer) {
    throw new CodeRejectedError();
  }
  if ('error' in callback.result) throw callbackFailure(callback.result.error);
  const { code } = callback.result;
  const codeVerifier = codeVerifierOf(linkToken);
  const response = await client.exchangeCode({ code, codeVerifier, redirectUri: attempt.redirectUri });
  const grant = await verifyGrant(response, client, verifier, attempt.nonceHash);
  return { grant, userId: attempt.userId ?? undefined };
}

/** 256 random bits. */
function secret(): string {
  return randomBytes(32).toString('base64url');
}

function hash(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}

/**
 * The PKCE verifier of an attempt (RFC 7636 §4.1): derived from the link token, so that nothing that completes a link is
 * stored. Who holds the link token began the attempt.
 */
function codeVerifierOf(linkToken: string): string {
  return createHmac('sha256', linkToken).update('code_verifier').digest('base64url');
}
