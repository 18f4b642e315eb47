import { ProviderUnavailableError, TokenRejectedError, UnauthenticatedError } from '../errors.js';
import type { Viewer } from '../graphql/context.js';

/** Verifies an access token. Throws `TokenRejectedError` or `ProviderUnavailableError`. */
export type VerifyAccessToken = (token: string) => Promise<Viewer>;

/**
 * Who is calling: nobody without an `Authorization` header, the token's subject with a good one.
 *
 * Throws `UnauthenticatedError` for every other header: never a silent downgrade to anonymous. Throws
 * `ProviderUnavailableError` when the keys to verify with cannot be had.
 *
 * @param rawHeaders names and values in turn, as Node's HTTP parser gives them: its `headers` keep only the
 * first of two `Authorization` headers.
 */
export async function resolveViewer(
  rawHeaders: readonly string[],
  verify: VerifyAccessToken,
): Promise<Viewer | undefined> {
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization',
  );
  const [value, second] = values;
  if (value === undefined) return undefined;
  const token = /^Bearer ([\w~+/.-]+=*)$/i.exec(value)?.[1];
  if (second !== undefined || token === undefined)
    throw rejected(new TokenRejectedError('authorization header'));
  try {
    return await verify(token);
  } catch (error) {
    if (error instanceof ProviderUnavailableError) throw error;
    if (error instanceof TokenRejectedError) throw rejected(error);
    throw error;
  }
}

function rejected(cause: TokenRejectedError): UnauthenticatedError {
  return new UnauthenticatedError('The access token is not valid.', { cause });
}
