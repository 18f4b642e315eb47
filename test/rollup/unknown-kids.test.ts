import { trackUnknownKids } from '../../src/rollup/unknown-kids.js';

const RETRY_AFTER_MS = 3_000;
let now: number;
let isRetry: (kid: unknown) => boolean;
beforeEach(() => {
  now = 0;
  isRetry = trackUnknownKids(() => now);
});

test('JWT-32 a key id seen again after three seconds is a retry, one seen again sooner is not', () => {
  const seen = [0, RETRY_AFTER_MS - 1, RETRY_AFTER_MS].map((at) => {
    now = at;
    return isRetry('rolled over');
  });
  expect(seen).toEqual([false, false, true]);
});

test('JWT-28 ten thousand made-up key ids are stored, the latest ones', () => {
  for (let index = 0; index <= 10_000; index += 1) isRetry(`made up ${index}`);
  now = RETRY_AFTER_MS;
  expect(isRetry('made up 1')).toBe(true);
  expect(isRetry('made up 0')).toBe(false);
});

test.each([['x'.repeat(101)], [7], [undefined]])('JWT-28 an impossible key id is not stored: %p', (kid) => {
  isRetry(kid);
  now = RETRY_AFTER_MS;
  expect(isRetry(kid)).toBe(false);
});
