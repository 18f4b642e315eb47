import { ProviderUnavailableError } from '../errors.js';
import { allFailed, type GalaxyResponse, readGalaxyResponse } from './galaxy-response.js';
import type { Fetch } from '../fetch.js';
import { ResponseTooLargeError, callProvider } from '../provider-call.js';

/** Requests everything that Galaxy has on the identity of an access token: one call without retries. */
export type RequestGalaxy = (accessToken: string) => Promise<GalaxyResponse>;

/** The endpoint of Galaxy and the application's API key. */
export interface GalaxyOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly timeoutMs: number;
  readonly fetch: Fetch;
}

/** One query for all fields: Galaxy limits requests, not fields. */
const QUERY = `query RollupAccount {
  profile { displayName pfp { ... on StandardPFP { image } ... on NFTPFP { image isToken } } }
  connectedAccounts { baseUrn qc rc }
  authorizedApps { clientId icon title timestamp }
}`;

/**
 * Creates a client of Galaxy. The API key is sent as `X-GALAXY-KEY`: that is what Galaxy's code reads, against its manual.
 *
 * A request throws errors that would be the same for every account: `ProviderMisconfiguredError` for a key or a query
 * that Galaxy rejects, `ProviderUnavailableError` for no usable response. An error of this account only, such as a
 * rejected token, is the result of every field; a field that fails alone has its own error.
 */
export function createGalaxyClient({ url, apiKey, timeoutMs, fetch }: GalaxyOptions): RequestGalaxy {
  return async (accessToken) => {
    try {
      const headers = {
        'content-type': 'application/json',
        'x-galaxy-key': apiKey,
        authorization: `Bearer ${accessToken}`,
      };
      const body = JSON.stringify({ query: QUERY });
      return readGalaxyResponse(await callProvider(fetch, { url, method: 'POST', headers, body, timeoutMs }));
    } catch (error) {
      const isOfThisAccount =
        error instanceof ProviderUnavailableError && error.cause instanceof ResponseTooLargeError;
      if (!isOfThisAccount) throw error;
      return allFailed(error);
    }
  };
}
