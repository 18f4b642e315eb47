import type { AccountRecord, UserRecord } from '../accounts/account.repository.js';
import type { CompletedLink } from '../accounts/account-linking.js';
import type { GalaxyReading } from '../galaxy/galaxy-reader.js';
import type { BegunLink, LinkRequest } from '../accounts/link-attempt.js';
import type { UserinfoReader } from '../accounts/userinfo-reader.js';
import { UnauthenticatedError } from '../errors.js';
import type { Tokens, TokenState } from '../token-set.js';
import type { DescribeScopes } from './scope-descriptions.js';

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

/** A fresh access token of the caller's own account. */
export interface RenewedToken {
  readonly account: AccountRecord;
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
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
  tokensOf(accountId: string): Promise<TokenState>;
  readonly describeScopes: DescribeScopes;
  /**
   * What Galaxy says of an account, requested once. `required` are the scopes of the field it is for, which the
   * account's own tokens need as well.
   *
   * Throws `ForbiddenError`, `ReauthenticationRequiredError`, `RateLimitedError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`.
   */
  galaxyOf(account: AccountRecord, required: readonly string[]): Promise<GalaxyReading>;
  /** What userinfo says of an account; as `galaxyOf`, but for `RateLimitedError`. */
  userinfoOf(account: AccountRecord, required: readonly string[]): ReturnType<UserinfoReader['read']>;
  beginLink(request: LinkRequest): Promise<BegunLink>;
  completeLink(url: string, linkToken: string): Promise<CompletedLink>;
  takeOverTokens(tokens: Tokens): Promise<CompletedLink>;
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
