import { RateLimitedError } from '../../src/errors.js';
import { GalaxyCache } from '../../src/galaxy/galaxy-cache.js';

/** Not 0, which lru-cache takes for an entry without a TTL. */
const START = 1_000;
const STALE_MS = 3_600_000;
let now: number;
let cache: GalaxyCache;
beforeEach(() => {
  now = START;
  cache = new GalaxyCache(STALE_MS, () => now);
});

const store = (accountId: string, nextRequestAt = now, failures = 0) =>
  cache.set(accountId, { result: new RateLimitedError(0), failures, nextRequestAt });

test('the cache of Galaxy holds ten thousand accounts, the most recently used ones', () => {
  for (let index = 0; index < 10_002; index += 1) {
    store(`account ${index}`);
    if (index % 1_000 === 0) store('account 0');
  }
  expect(['account 0', 'account 3', 'account 10001'].map((id) => cache.get(id) !== undefined)).toEqual([
    true,
    true,
    true,
  ]);
  expect(['account 1', 'account 2'].map((id) => cache.get(id))).toEqual([undefined, undefined]);
});

test('an entry older than the stale window is deleted with the next one, unless its back-off still lasts', () => {
  store('old');
  store('backing off', START + STALE_MS * 2);
  now = START + STALE_MS;
  store('young');
  expect(cache.get('old')).toBeDefined();
  now += 1;
  store('next');
  expect(cache.get('old')).toBeUndefined();
  expect(cache.get('backing off')).toBeDefined();
  now = START + STALE_MS * 2 + 1;
  store('last');
  expect(cache.get('backing off')).toBeUndefined();
  expect(cache.get('last')).toBeDefined();
});

test('an expired entry counts its failures until it is deleted', () => {
  store('failing', now, 3);
  now += STALE_MS + 1;
  expect(cache.get('failing')?.failures).toBe(3);
});
