import { ProviderUnavailableError } from '../../errors.js';
import { callProvider, ResponseTooLargeError } from '../../provider-call.js';
import { failed, type Finding, ok, warning } from './check.js';
import type { observe } from './observed-fetch.js';

/** What Rollup ID says on its error page, with what to do. */
const REFUSALS = [
  [
    'Provided redirect URI did not match with configured redirect URI',
    'Register it at Rollup ID, or correct ROLLUP_REDIRECT_URIS.',
  ],
  ['App requested does not have a configured redirect URL', 'Register it at Rollup ID.'],
  [
    'Requested scope value not in the configured allowed scope list',
    'Allow the scopes at Rollup ID, or shorten ROLLUP_SCOPES.',
  ],
  ['No allowed scope was configured for the app', 'Allow the scopes at Rollup ID.'],
  [
    'Could not return properties of a published application',
    'Check ROLLUP_CLIENT_ID, and publish the application.',
  ],
] as const;

/**
 * Asks for the authorization page as a browser without a session would, and goes no further. Rollup ID compares the
 * redirect URI only after sign-in, so what is not refused here may still be.
 *
 * @param url the complete authorization request for `redirectUri`.
 */
export async function checkRedirectUri(
  url: string,
  redirectUri: string,
  { fetch, last }: ReturnType<typeof observe>,
  timeoutMs: number,
): Promise<Finding> {
  const page = await callProvider(fetch, { url, headers: { accept: 'text/html' }, timeoutMs }).catch(
    onlyLarge,
  );
  const { status = 0, headers } = last() ?? {};
  if (status >= 400) return refused(redirectUri, status, page?.text ?? '');
  const error = errorIn(headers?.get('location') ?? '', url, redirectUri);
  if (error === undefined) return ok(`${redirectUri} is not refused before sign-in.`);
  return warning(
    `${redirectUri} is accepted, and the request refused: ${error}.`,
    'Check ROLLUP_SCOPES, and what the application may do at the provider.',
  );
}

/** A page may be large: its head is enough. */
function onlyLarge(error: unknown): undefined {
  const tooLarge = error instanceof ProviderUnavailableError && error.cause instanceof ResponseTooLargeError;
  if (!tooLarge) throw error;
}

function refused(redirectUri: string, status: number, text: string): Finding {
  const [words, advice] = REFUSALS.find(([message]) => text.includes(message)) ?? [
    undefined,
    'Open the sign-in in a browser to see why; check ROLLUP_CLIENT_ID, ROLLUP_REDIRECT_URIS and ROLLUP_SCOPES.',
  ];
  return failed(`${redirectUri} is refused with ${status}${words ? `: "${words}"` : ''}.`, advice);
}

/** The error with which a standard provider sends the browser back (RFC 6749 §4.1.2.1). */
function errorIn(location: string, url: string, redirectUri: string): string | undefined {
  const target = URL.parse(location, url);
  const back = URL.parse(redirectUri);
  if (!target || target.origin !== back?.origin || target.pathname !== back.pathname) return undefined;
  const error = target.searchParams.get('error')?.replaceAll(/[^a-z_]/g, '');
  // It wants the person to sign in, which is as far as this goes.
  return error === 'login_required' || error === 'interaction_required' ? undefined : error?.slice(0, 40);
}
