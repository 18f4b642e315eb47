import {
  AccessDeniedError,
  CodeRejectedError,
  LinkNotFoundError,
  ProviderUnavailableError,
} from '../errors.js';

/** What a callback says, once its shape is right. */
export interface Callback {
  readonly state: string;
  /** Origin and path; they must equal those of the attempt. */
  readonly location: string;
  /** The code, or the error that takes its place. */
  readonly result: { readonly code: string } | { readonly error: string };
  /** The issuer that a standard provider names (RFC 9207). */
  readonly issuer: string | undefined;
}

/**
 * Reads the URL that the browser came back to. Each parameter may appear once (RFC 6749 §3.1).
 *
 * Throws `LinkNotFoundError` when there is no attempt to look for, `CodeRejectedError` when there is no code.
 */
export function parseCallback(text: string): Callback {
  const url = URL.parse(text);
  const state = url ? single(url, 'state') : undefined;
  if (!url || state === undefined) throw new LinkNotFoundError();
  const code = single(url, 'code');
  const error = single(url, 'error');
  if ((code === undefined) === (error === undefined)) throw new CodeRejectedError();
  return {
    state,
    location: withoutQuery(url),
    result: code !== undefined ? { code } : { error: error ?? '' },
    issuer: single(url, 'iss'),
  };
}

/** True when the callback came to the redirect URI of the attempt; the provider may replace its query. */
export function matchesRedirectUri(callback: Callback, redirectUri: string): boolean {
  const expected = URL.parse(redirectUri);
  return expected !== null && withoutQuery(expected) === callback.location;
}

/** The failure that an error callback stands for. Cancel is the only one that Rollup ID sends. */
export function callbackFailure(error: string): Error {
  if (error === 'access_denied') return new AccessDeniedError();
  if (error === 'server_error' || error === 'temporarily_unavailable') return new ProviderUnavailableError(0);
  return new CodeRejectedError();
}

function single(url: URL, name: string): string | undefined {
  const values = url.searchParams.getAll(name);
  if (values.length > 1) throw new LinkNotFoundError();
  return values[0] === '' ? undefined : values[0];
}

function withoutQuery(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
