import { ProviderUnavailableError } from '../errors.js';
import { everyPart, type GalaxyResponse, readGalaxyResponse } from './galaxy-response.js';
import { ResponseTooLargeError, callProvider, type Fetch } from '../provider-call.js';

/** Asks Galaxy once for all that it says of the identity of an access token; nothing is retried here. */
export type RequestGalaxy = (accessToken: string) => Promise<GalaxyResponse>;

/** Where Galaxy is, and the application's key to it. */
export interface GalaxyOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly timeoutMs: number;
  readonly fetch: Fetch;
}

/** One query for everything: Galaxy counts requests, not fields. */
const QUERY = `query RollupAccount {
  profile { displayName pfp { ... on StandardPFP { image } ... on NFTPFP { image isToken } } }
  connectedAccounts { baseUrn qc rc }
  authorizedApps { clientId icon title timestamp }
}`;

/**
 * Makes a client of Galaxy. The key goes into `X-GALAXY-KEY`, which its code reads, whatever its manual says.
 *
 * Asking throws what would meet every account: `ProviderMisconfiguredError` for a key or a query that Galaxy refuses,
 * `ProviderUnavailableError` when it gave no usable answer. What is about this account alone, such as a token that it
 * does not take, is an error in each part of the answer; a field that fails alone is one in its own part.
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
      const ofThisAccount =
        error instanceof ProviderUnavailableError && error.cause instanceof ResponseTooLargeError;
      if (!ofThisAccount) throw error;
      return everyPart(error);
    }
  };
}
