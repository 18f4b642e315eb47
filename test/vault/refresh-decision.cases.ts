import { backOffMs } from '../../src/back-off.js';
import { decideRefresh } from '../../src/vault/refresh-decision.js';
import type { RefreshState } from '../../src/vault/sealed-row.repository.js';
import { fc } from '../kit/properties.js';

const NOW = Date.UTC(2027, 0, 1);
const MARGIN_MS = 60_000;

const fresh: RefreshState = {
  accountId: 'a',
  status: 'ACTIVE',
  scopes: ['openid'],
  isRefreshable: true,
  hasPendingResponse: false,
  accessTokenIssuedAt: new Date(NOW),
  accessTokenExpiresAt: new Date(NOW + 3_600_000),
  lastRefreshedAt: null,
  generation: 1,
  refreshTokenRotates: false,
  leaseId: null,
  leaseRemainingMs: 0,
  failureCount: 0,
  retryInMs: 0,
  readAtMs: NOW,
};
const near = { accessTokenExpiresAt: new Date(NOW + 30_000) };
const ended = { accessTokenExpiresAt: new Date(NOW - 1) };
const held = { leaseId: 'somebody', leaseRemainingMs: 100 };
const orphaned = { leaseId: 'somebody', leaseRemainingMs: -100 };

describe('what a row means for a caller', () => {
  test.each<[string, Partial<RefreshState>, ReturnType<typeof decideRefresh>]>([
    ['far from its end', {}, 'serve'],
    ['far from its end, while somebody refreshes', held, 'serve'],
    ['near its end', near, 'refresh'],
    ['ended', ended, 'refresh'],
    ['near its end, while somebody refreshes', { ...near, ...held }, 'wait'],
    ['near its end, its holder gone', { ...near, ...orphaned }, 'refresh'],
    ['near its end, its holder gone, rotating', { ...near, ...orphaned, refreshTokenRotates: true }, 'lost'],
    [
      'near its end, its holder gone, rotating, with a response in hand',
      { ...near, ...orphaned, refreshTokenRotates: true, hasPendingResponse: true },
      'refresh',
    ],
    ['near its end, in back-off', { ...near, retryInMs: 500 }, 'serve'],
    ['ended, in back-off', { ...ended, retryInMs: 500 }, 'pause'],
    ['near its end, without refresh token', { ...near, isRefreshable: false }, 'serve'],
    ['ended, without refresh token', { ...ended, isRefreshable: false }, 'dead'],
    ['given up', { status: 'REAUTHENTICATION_REQUIRED' }, 'dead'],
  ])('a token %s', (_title, row, decision) => {
    expect(decideRefresh({ ...fresh, ...row }, MARGIN_MS)).toBe(decision);
  });

  test.each<[string, number, ReturnType<typeof decideRefresh>]>([
    ['a millisecond before its end', 1, 'serve'],
    ['at its end', 0, 'refresh'],
    ['after its end', -1, 'refresh'],
  ])('a token for a caller who accepts any remaining life, %s', (_title, leftMs, decision) => {
    const accessTokenExpiresAt = new Date(NOW + leftMs);
    expect(decideRefresh({ ...fresh, accessTokenExpiresAt }, 0)).toBe(decision);
  });
});

describe('VLT-79 a caller who wants more than the tokens of the provider live', () => {
  const WANTED_MS = 600_000;
  const living = (lifeMs: number, leftMs: number, refreshed: boolean): RefreshState => ({
    ...fresh,
    accessTokenIssuedAt: new Date(NOW + leftMs - lifeMs),
    accessTokenExpiresAt: new Date(NOW + leftMs),
    lastRefreshedAt: refreshed ? new Date(NOW) : null,
  });

  test.each<[string, RefreshState, ReturnType<typeof decideRefresh>]>([
    ['has them refreshed once, to see', living(300_000, 299_000, false), 'refresh'],
    ['gets what a refresh brought', living(300_000, 299_000, true), 'serve'],
    ['gets it for half its life', living(300_000, 150_000, true), 'serve'],
    ['has it refreshed after that', living(300_000, 149_999, true), 'refresh'],
    ['gets it when it lives hardly longer than is wanted', living(609_999, 599_000, true), 'serve'],
    ['has it refreshed when that helps', living(610_000, 599_000, true), 'refresh'],
    [
      'has it refreshed when its life is not known',
      { ...living(300_000, 299_000, true), accessTokenIssuedAt: null },
      'refresh',
    ],
  ])('%s', (_title, state, decision) => {
    expect(decideRefresh(state, WANTED_MS)).toBe(decision);
  });
});

describe('the back-off', () => {
  test('doubles from its base to five minutes, never less than its step nor more than half as much again', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, random) => {
          const step = Math.min(5_000 * 2 ** (failures - 1), 300_000);
          const pause = backOffMs(failures, 5_000, random);
          expect(pause).toBeGreaterThanOrEqual(step);
          expect(pause).toBeLessThanOrEqual(step * 1.5);
        },
      ),
    );
  });

  test("honours the provider's Retry-After, up to an hour", () => {
    expect(backOffMs(1, 5_000, 0, 60_000)).toBe(60_000);
    expect(backOffMs(1, 5_000, 0, 100)).toBe(5_000);
    expect(backOffMs(1, 5_000, 0, 86_400_000)).toBe(3_600_000);
  });
});
