import type { AccountRecord, UserRecord } from '../accounts/account.repository.js';
import type { CompletedLink } from '../accounts/account-linking.js';
import type { ConsentedScope } from '../accounts/consented-scope.js';
import type { GalaxyReading } from '../galaxy/galaxy-reader.js';
import type { BegunLink, LinkRequest } from '../accounts/link-attempt.js';
import type { UserinfoReader } from '../accounts/userinfo-reader.js';
import { UnauthenticatedError } from '../errors.js';

/** What the transport knows of a request. */
export interface RequestInfo {
  /** The caller's address, as far as it can be believed. */
  readonly address: string;
  /** Aborted when the time of the request is over. */
  readonly signal: AbortSignal;
}

/** Who is calling, from a verified access token and from nothing else. */
export interface Viewer {
  readonly issuer: string;
  readonly sub: string;
  /** What the token presented allows, whatever the stored one may. */
  readonly scopes: readonly string[];
}

/** The clear state of an account's tokens. */
export interface TokenSummary {
  readonly status: 'ACTIVE' | 'REAUTHENTICATION_REQUIRED';
  readonly scopes: readonly string[];
  readonly accessTokenExpiresAt: Date;
  readonly lastRefreshedAt: Date | null;
}

/** A fresh access token of the caller's own account. */
export interface RenewedToken {
  readonly account: AccountRecord;
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
}

/** Tokens that an application obtained elsewhere. */
export interface ObtainedTokens {
  readonly accessToken: string;
  readonly idToken: string;
  readonly refreshToken?: string;
}

/**
 * All that a resolver can do, for one request: capabilities, no entity manager. Made anew for each request, so
 * that nothing of one caller is ever in another's answer.
 */
export interface RequestContext extends RequestInfo {
  /** The caller; the linked identity once a link in this request has succeeded, for its tokens were presented. */
  viewer(): Viewer | undefined;
  /** The caller's user; undefined when nobody is signed in or the identity is not linked. */
  user(): Promise<UserRecord | undefined>;
  accountsOf(userId: string): Promise<readonly AccountRecord[]>;
  tokensOf(accountId: string): Promise<TokenSummary>;
  describeScopes(names: readonly string[]): readonly ConsentedScope[];
  /**
   * What Galaxy says of an account, asked once in a request. `coordinate` is the field it is for: what the account's
   * own tokens do not allow is not asked.
   *
   * Throws `ForbiddenError`, `ReauthenticationRequiredError`, `RateLimitedError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`.
   */
  galaxyOf(account: AccountRecord, coordinate: string): Promise<GalaxyReading>;
  /** What userinfo says of an account; as `galaxyOf`, but for `RateLimitedError`. */
  userinfoOf(account: AccountRecord, coordinate: string): ReturnType<UserinfoReader['read']>;
  beginLink(request: LinkRequest): Promise<BegunLink>;
  completeLink(url: string, linkToken: string): Promise<CompletedLink>;
  takeOverTokens(tokens: ObtainedTokens): Promise<CompletedLink>;
  /** Throws `NotLinkedError` or `AccountNotFoundError`, or what the vault throws. */
  renewAccessToken(accountId: string | undefined, minTtlSeconds: number): Promise<RenewedToken>;
  unlink(accountId: string): Promise<void>;
}

/** The caller. Throws `UnauthenticatedError` when nobody is signed in. */
export function requireViewer(context: RequestContext): Viewer {
  const viewer = context.viewer();
  if (!viewer) {
    throw new UnauthenticatedError('Sign in first: send an access token in the Authorization header.');
  }
  return viewer;
}
