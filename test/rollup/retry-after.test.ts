import type { Fetch } from '../../src/fetch.js';
import { callProvider } from '../../src/provider-call.js';

const SECOND = 1_000;
const inSeconds = (seconds: number, from = Date.now()): string =>
  new Date(from + seconds * SECOND).toUTCString();
/** A provider whose clock is an hour behind. */
const theirs = () => Date.now() - 3_600 * SECOND;

describe('VLT-83 Retry-After', () => {
  test("VLT-83 counts from the response's own Date where it is a date", async () => {
    const now = theirs();
    expect(await retryAfter({ 'retry-after': inSeconds(90, now), date: inSeconds(0, now) })).toBe(90_000);
    expect(await retryAfter({ 'retry-after': inSeconds(-5, now), date: inSeconds(0, now) })).toBe(0);
  });

  test.each([
    ['no Date', {}],
    ['a Date that is none', { date: 'soon' }],
  ])('VLT-83 counts from our clock in a response with %s', async (_title, headers) => {
    const ms = await retryAfter({ 'retry-after': inSeconds(90), ...headers });
    expect(ms).toBeGreaterThan(30_000);
    expect(ms).toBeLessThanOrEqual(90_000);
  });

  test('VLT-83 is a number of seconds whatever the Date says, and nothing when it is neither', async () => {
    const date = inSeconds(0, theirs());
    expect(await retryAfter({ 'retry-after': '7', date })).toBe(7_000);
    for (const text of ['later', '-7', '']) expect(await retryAfter({ 'retry-after': text, date })).toBe(0);
    expect(await retryAfter({ date })).toBe(0);
  });
});

async function retryAfter(headers: Record<string, string>): Promise<number> {
  const fetch: Fetch = async () => new Response(null, { status: 503, headers });
  return (await callProvider(fetch, { url: 'https://issuer.example', timeoutMs: 1_000 })).retryAfterMs;
}
