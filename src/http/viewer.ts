import { TokenRejectedError, UnauthenticatedError } from '../errors.js';
import type { Viewer } from '../graphql/context.js';

/** Verifies an access token. Throws `TokenRejectedError` or `ProviderUnavailableError`. */
export type VerifyAccessToken = (token: string) => Promise<Viewer>;

/**
 * The caller: undefined without an `Authorization` header, the token's subject with a valid one.
 *
 * Throws `UnauthenticatedError` for every other header: never a silent downgrade to anonymous. Throws
 * `ProviderUnavailableError` when the keys of the issuer are not available.
 *
 * @param rawHeaders alternating names and values, as Node's HTTP parser returns them: its `headers` keep only the
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
  if (second !== undefined || token === undefined) {
    throw rejected(new TokenRejectedError('authorization header'));
  }
  try {
    return await verify(token);
  } catch (error) {
    throw error instanceof TokenRejectedError ? rejected(error) : error;
  }
}

function rejected(cause: TokenRejectedError): UnauthenticatedError {
  return new UnauthenticatedError('The access token is not valid.', { cause });
}
