import { backOffMs } from '../../src/back-off.js';
import { decideRefresh } from '../../src/vault/refresh-decision.js';
import type { SealedRow } from '../../src/vault/sealed-tokens.repository.js';
import { fc } from '../kit/properties.js';

const NOW = Date.UTC(2027, 0, 1);
const MARGIN_MS = 60_000;

const fresh: SealedRow = {
  accountId: 'a',
  issuer: 'https://issuer.example',
  clientId: 'client',
  keyId: 'k1',
  dataKey: 'wrapped',
  status: 'ACTIVE',
  scopes: ['openid'],
  accessToken: 'sealed',
  idToken: null,
  refreshToken: 'sealed',
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
  test.each<[string, Partial<SealedRow>, ReturnType<typeof decideRefresh>]>([
    ['far from its end', {}, 'serve'],
    ['far from its end, while somebody refreshes', held, 'serve'],
    ['near its end', near, 'refresh'],
    ['ended', ended, 'refresh'],
    ['near its end, while somebody refreshes', { ...near, ...held }, 'wait'],
    ['near its end, its holder gone', { ...near, ...orphaned }, 'refresh'],
    ['near its end, its holder gone, rotating', { ...near, ...orphaned, refreshTokenRotates: true }, 'lost'],
    ['near its end, in back-off', { ...near, retryInMs: 500 }, 'serve'],
    ['ended, in back-off', { ...ended, retryInMs: 500 }, 'pause'],
    ['near its end, without refresh token', { ...near, refreshToken: null }, 'serve'],
    ['ended, without refresh token', { ...ended, refreshToken: null }, 'dead'],
    ['given up', { status: 'REAUTHENTICATION_REQUIRED' }, 'dead'],
  ])('a token %s', (_title, row, decision) => {
    expect(decideRefresh({ ...fresh, ...row }, MARGIN_MS, NOW)).toBe(decision);
  });

  test.each<[string, number, ReturnType<typeof decideRefresh>]>([
    ['a millisecond before its end', 1, 'serve'],
    ['at its end', 0, 'refresh'],
    ['after its end', -1, 'refresh'],
  ])('a token for a caller who accepts any remaining life, %s', (_title, leftMs, decision) => {
    const accessTokenExpiresAt = new Date(NOW + leftMs);
    expect(decideRefresh({ ...fresh, accessTokenExpiresAt }, 0, NOW)).toBe(decision);
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
