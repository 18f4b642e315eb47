import { ProviderMisconfiguredError, ProviderUnavailableError } from '../errors.js';
import { asObject, parseObject } from '../json.js';
import { callProvider } from '../provider-call.js';
import type { GalaxyOptions } from './galaxy-client.js';
import { describeErrors, globalError, isMasked, readErrors } from './galaxy-errors.js';

/** Needs the key and no token, and is about nobody. */
const QUERY = 'query ApiKey { accountProfiles(accountURNList: []) { id } }';

/**
 * Asks Galaxy for the profiles of no accounts: one request, which only a good key lets through.
 *
 * Throws `ProviderMisconfiguredError` when Galaxy rejects the key or the query, and `ProviderUnavailableError` when there
 * is no usable response. As the request carries no token, an error without a message is about the key.
 */
export async function checkGalaxyKey({ url, apiKey, timeoutMs, fetch }: GalaxyOptions): Promise<void> {
  const headers = { 'content-type': 'application/json', 'x-galaxy-key': apiKey };
  const body = JSON.stringify({ query: QUERY });
  const response = await callProvider(fetch, { url, method: 'POST', headers, body, timeoutMs });
  const { data, errors: entries } = parseObject(response.text) ?? {};
  const errors = readErrors(entries);
  const profiles = asObject(data)?.['accountProfiles'];
  if (response.status === 200 && errors.length === 0 && Array.isArray(profiles)) return;
  const cause = new Error(describeErrors(response.status, errors));
  const global = globalError(response, errors, asObject(data) !== undefined, cause);
  if (global) throw global;
  if (errors.some(isMasked)) throw new ProviderMisconfiguredError({ cause });
  throw new ProviderUnavailableError(0, { cause });
}
