import type { Fetch, FetchResponse } from '../../fetch.js';
import type { Between } from '../../clock-skew.js';

/** The head of a response, and when it was on its way. */
export interface Observed {
  readonly status: number;
  readonly headers: FetchResponse['headers'];
  readonly ours: Between;
}

/** `fetch` that remembers the last response. */
export function observe(fetch: Fetch, now: () => number) {
  let last: Observed | undefined;
  const observed: Fetch = async (input, init) => {
    last = undefined;
    const from = now();
    const response = await fetch(input, init);
    last = { status: response.status, headers: response.headers, ours: { from, to: now() } };
    return response;
  };
  return { fetch: observed, last: () => last };
}

/**
 * The clock of a server when it made this response: its `Date` has whole seconds, and a response from a cache is as old
 * as its `Age` (RFC 9110 §6.6.1, RFC 9111 §5.1). Undefined without a readable `Date`.
 */
export function clockOf({ headers }: Pick<Observed, 'headers'>): Between | undefined {
  const date = Date.parse(headers.get('date') ?? '');
  if (Number.isNaN(date)) return undefined;
  const age = headers.get('age') ?? '';
  const aged = /^\d{1,9}$/.test(age);
  const from = date + (aged ? Number(age) * 1_000 : 0);
  return { from, to: from + (aged ? 2_000 : 1_000) };
}
