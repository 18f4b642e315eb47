/* oxlint-disable max-lines -- a catalogue: one class per failure, nothing else */
/**
 * What can go wrong here, one class per failure, each with a stable `code`.
 *
 * Messages are written for the person or program that called us: they never carry a token, a secret, a
 * provider's words or a database's. What an operator needs goes into `cause`, which only the log sees.
 */
export abstract class AppError extends Error {
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** No bearer token where one is needed, or one that does not verify. */
export class UnauthenticatedError extends AppError {
  readonly code = 'UNAUTHENTICATED';
}

/** The caller's access token lacks a scope that a field needs (RFC 6750 §3.1 `insufficient_scope`). */
export class ForbiddenError extends AppError {
  readonly code = 'FORBIDDEN';
  readonly requiredScopes: readonly string[];
  readonly missingScopes: readonly string[];
  constructor(requiredScopes: readonly string[], missingScopes: readonly string[], whose = 'access token') {
    super(`This needs a scope that the ${whose} lacks: ${missingScopes.join(', ')}.`);
    this.requiredScopes = requiredScopes;
    this.missingScopes = missingScopes;
  }
}

/** The tokens of an account lack a scope that a field of it needs, whatever the caller's token allows. */
export class ConsentMissingError extends ForbiddenError {
  constructor(requiredScopes: readonly string[], missingScopes: readonly string[]) {
    super(requiredScopes, missingScopes, 'consent of this account');
  }
}

/** More requests than one caller may send, or than this server may send to Galaxy. */
export class RateLimitedError extends AppError {
  readonly code = 'RATE_LIMITED';
  /** Milliseconds until there is room again. */
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super('Too many requests. Try again later.');
    this.retryAfterMs = retryAfterMs;
  }
}

/** This server is executing as many requests as it may. */
export class OverloadedError extends AppError {
  readonly code = 'RATE_LIMITED';
  readonly retryAfterMs = 1_000;
  constructor() {
    super('The server is busy. Try again in a moment.');
  }
}

/** The operation did not finish within its time. */
export class DeadlineExceededError extends AppError {
  readonly code = 'INTERNAL_SERVER_ERROR';
  constructor() {
    super('The operation took too long.');
  }
}

/** An argument is of the right type and still out of its range. */
export class BadUserInputError extends AppError {
  readonly code = 'BAD_USER_INPUT';
}

/** The caller has no linked Rollup ID identity, so there is no data. */
export class NotLinkedError extends AppError {
  readonly code = 'NOT_LINKED';
  constructor() {
    super('Your Rollup ID identity is not linked here. Link it first with linkRollupAccount.');
  }
}

/** The provider ended the grant, or its stored tokens are damaged: only a new link helps. */
export class ReauthenticationRequiredError extends AppError {
  readonly code = 'REAUTHENTICATION_REQUIRED';
  constructor(options?: ErrorOptions) {
    super('Rollup ID no longer accepts this link. Send the user through startRollupLink again.', options);
  }
}

/** The provider is unreachable or returned no usable response; a later attempt may succeed. */
export class ProviderUnavailableError extends AppError {
  readonly code = 'PROVIDER_UNAVAILABLE';
  /** Milliseconds to wait before the next attempt. */
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number, options?: ErrorOptions) {
    super('Rollup ID cannot be reached or returned no usable response. Try again later.', options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The provider rejected this server's own credentials: the operator's fault, no user's. */
export class ProviderMisconfiguredError extends AppError {
  readonly code = 'PROVIDER_MISCONFIGURED';
  constructor(options?: ErrorOptions) {
    super('This server is not set up correctly with Rollup ID. Its operator has been notified.', options);
  }
}

/** The provider says that a refresh token belongs to another client: about that token, no proof about our credentials. */
export class ClientMismatchError extends AppError {
  readonly code = 'CLIENT_MISMATCH';
  constructor(options?: ErrorOptions) {
    super('The refresh token belongs to another client.', options);
  }
}

/** The provider rejected the authorization code: used, expired, or not issued to this client. */
export class CodeRejectedError extends AppError {
  readonly code = 'CODE_REJECTED';
  constructor(options?: ErrorOptions) {
    super('Rollup ID did not accept the authorization code. Begin the link again.', options);
  }
}

/** The provider said clearly that this refresh token will never work again (RFC 6749 §5.2 `invalid_grant`). */
export class GrantDeadError extends AppError {
  readonly code = 'GRANT_DEAD';
  constructor(options?: ErrorOptions) {
    super('The grant behind this refresh token has ended.', options);
  }
}

/** A token is not what it should be: signature, issuer, audience, times, kind or shape. */
export class TokenRejectedError extends AppError {
  readonly code = 'TOKEN_INVALID';
  /** A short stable word for the log, never part of the token. */
  readonly reason: string;
  constructor(reason: string, options?: ErrorOptions) {
    super(`The token was not accepted (${reason}).`, options);
    this.reason = reason;
  }
}

/** Two tokens of one response, or a response and the token that it renews, have different subjects. */
export class SubjectMismatchError extends AppError {
  readonly code = 'SUBJECT_MISMATCH';
  constructor() {
    super('The tokens do not belong to the same Rollup ID identity.');
  }
}

/** The user pressed Cancel at the provider (RFC 6749 §4.1.2.1 `access_denied`). */
export class AccessDeniedError extends AppError {
  readonly code = 'ACCESS_DENIED';
  constructor() {
    super('The link was cancelled at Rollup ID.');
  }
}

/** No such link attempt: unknown, used, expired, or another caller's. Which one is not disclosed. */
export class LinkNotFoundError extends AppError {
  readonly code = 'LINK_NOT_FOUND';
  constructor() {
    super('There is no open link attempt for this callback. Begin the link again.');
  }
}

/** The identity belongs to another user of this server; whose is not disclosed. */
export class LinkedToAnotherUserError extends AppError {
  readonly code = 'LINKED_TO_ANOTHER_USER';
  constructor() {
    super('This Rollup ID identity is already linked to another user.');
  }
}

/** The redirect URI is not, character by character, one that the operator allowed. */
export class RedirectUriNotAllowedError extends AppError {
  readonly code = 'REDIRECT_URI_NOT_ALLOWED';
  constructor() {
    super('This redirect URI is not in the list the server allows. It is compared as an exact string.');
  }
}

/** A scope name is malformed or not in the list that the operator allowed. */
export class ScopeNotAllowedError extends AppError {
  readonly code = 'SCOPE_NOT_ALLOWED';
  constructor() {
    super('At least one of these scopes cannot be requested. Name one or more scopes the server allows.');
  }
}

/** The account does not exist or is not the caller's; which one is not disclosed. */
export class AccountNotFoundError extends AppError {
  readonly code = 'ACCOUNT_NOT_FOUND';
  constructor() {
    super('There is no such linked account.');
  }
}

/** Why a stored token does not open; DATA_KEY: because the key of its account does not. */
export type SealFault = 'MALFORMED' | 'UNKNOWN_KEY' | 'DATA_KEY' | 'WRONG_CONTEXT' | 'TAMPERED';

/** A stored ciphertext does not open: damaged, moved to another place, or sealed with a key we lack. */
export class SealBrokenError extends AppError {
  readonly code: `SEAL_${SealFault}`;
  constructor(fault: SealFault, options?: ErrorOptions) {
    super(`A stored token does not open (${fault}).`, options);
    this.code = `SEAL_${fault}`;
  }
}

/** Settings are missing or wrong. Every problem is listed, each naming its setting and never its value. */
export class ConfigError extends AppError {
  readonly code = 'CONFIG_INVALID';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`These settings need attention:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** The server cannot start for a reason that its operator can change; the message says what to do. */
export class StartupError extends AppError {
  readonly code = 'STARTUP_FAILED';
}
