import { UnknownKeyIds } from '../../src/rollup/unknown-kids.js';

const LATER_MS = 3_000;
let now: number;
let ids: UnknownKeyIds;
beforeEach(() => {
  now = 0;
  ids = new UnknownKeyIds(() => now);
});

test('JWT-32 a key id that comes back three seconds later is insistent, one that comes back sooner is not', () => {
  const seen = [0, LATER_MS - 1, LATER_MS].map((at) => {
    now = at;
    return ids.isInsistent('rolled over');
  });
  expect(seen).toEqual([false, false, true]);
});

test('JWT-28 of made-up key ids ten thousand are remembered, the latest ones', () => {
  for (let index = 0; index <= 10_000; index += 1) ids.isInsistent(`made up ${index}`);
  now = LATER_MS;
  expect(ids.isInsistent('made up 1')).toBe(true);
  expect(ids.isInsistent('made up 0')).toBe(false);
});

test.each([['x'.repeat(101)], [7], [undefined]])(
  'JWT-28 a key id that none has is not remembered: %p',
  (kid) => {
    ids.isInsistent(kid);
    now = LATER_MS;
    expect(ids.isInsistent(kid)).toBe(false);
  },
);
