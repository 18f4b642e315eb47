import { startClockWatch } from '../../src/clock-watch.js';
import { createRateLimiter } from '../../src/http/rate-limiter.js';
import { startBeside } from '../kit/beside.js';
import { eventually } from '../kit/eventually.js';
import { useStarted, useWorld } from '../kit/hooks.js';

/** Within the skew that tokens are allowed, and beyond it. */
const [SLIGHT_MS, WRONG_MS] = [29_000, 31_000];

describe('the clock of a server against that of the database', () => {
  const world = useWorld();
  /** By how much the clock of the server is ahead. */
  let aheadMs = 0;
  afterEach(() => void (aheadMs = 0));
  const start = () => startBeside(world, () => world.clock.monotonicNow() + aheadMs);

  test.each([
    [WRONG_MS, 31, '31 s ahead of'],
    [-WRONG_MS, -31, '31 s behind'],
  ])(
    'VLT-90 that is %i ms off when it starts is told with what to do, and it is not ready until that is mended',
    async (wrongMs, aheadSeconds, words) => {
      aheadMs = wrongMs;
      const server = await start();
      try {
        const msg = expect.stringMatching(new RegExp(`${words} the database's.*NTP`)) as string;
        expect(server.events('clock_wrong')).toMatchObject([{ level: 'error', aheadSeconds, msg }]);
        expect(await statusOf(server)).toBe(503);
        expect(Math.round(await metricOf(server))).toBe(aheadSeconds);
        aheadMs = Math.sign(wrongMs) * SLIGHT_MS;
        expect(await statusOf(server)).toBe(200);
        expect(server.events('clock_right')).toMatchObject([{ level: 'info' }]);
      } finally {
        await server.close();
      }
    },
  );

  describe('while it runs', () => {
    const server = useStarted(start);

    test('VLT-90 is measured for readiness each time', async () => {
      expect(await statusOf(server)).toBe(200);
      expect(await metricOf(server)).toBeCloseTo(0, 1);
      aheadMs = -WRONG_MS;
      expect([await statusOf(server), await statusOf(server)]).toEqual([503, 503]);
      aheadMs = 0;
      expect(await statusOf(server)).toBe(200);
    });

    test('VLT-91 is looked at now and then, and what changed is told once', async () => {
      const counts = () => ['clock_wrong', 'clock_right'].map((event) => server.events(event).length);
      const [wrong = 0, right = 0] = counts();
      aheadMs = WRONG_MS;
      await eventually(() => expect(counts()).toEqual([wrong + 1, right]));
      expect(await statusOf(server)).toBe(503);
      aheadMs = 0;
      await eventually(() => expect(counts()).toEqual([wrong + 1, right + 1]));
    });
  });
});

describe('a watch over the clock', () => {
  let now = 0;
  /** A database that takes as long to say what time it is, by a clock that is ahead of ours. */
  const watch = (readClock: () => Promise<number>) =>
    startClockWatch({ readClock, now: () => now, maxSkewMs: 30_000, onChange: () => undefined });

  test.each([
    [100_000, 0, true],
    [100_000, 100_000, true],
    [100_000, 130_000, true],
    [100_000, 131_000, false],
    [100_000, -31_000, false],
    [0, 30_000, true],
    [0, 31_000, false],
  ])(
    'VLT-92 of a database that says after %i ms what time it is, %i ms ahead of the question: agrees is %s',
    async (tookMs, databaseAheadMs, agrees) => {
      const clock = await watch(async () => {
        const theirs = now + databaseAheadMs;
        now += tookMs;
        return theirs;
      });
      await clock.stop();
      expect(await clock.agrees()).toBe(agrees);
    },
  );

  test('VLT-92 of a database that does not say agrees with nothing', async () => {
    const clock = await watch(() => Promise.reject(new Error('away')));
    await clock.stop();
    expect(await clock.agrees()).toBe(false);
  });
});

test('VLT-95 a caller beyond a limit is told to wait for a minute at most, also when the clock is set back', async () => {
  const limits = { subjectPerMinute: 1, addressPerMinute: 1, redisUrl: undefined };
  const limiter = createRateLimiter(limits, () => undefined);
  const caller = { address: '192.0.2.1', subject: undefined };
  await limiter.consume(caller, 1);
  const { now } = Date;
  Date.now = () => now() - 1_200_000;
  try {
    const error = await limiter.consume(caller, 1).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ retryAfterMs: 60_000 });
  } finally {
    Date.now = now;
    await limiter.close();
  }
});

async function statusOf({ url }: { readonly url: string }): Promise<number> {
  return (await fetch(`${url}/readyz`)).status;
}

async function metricOf({ url }: { readonly url: string }): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^rollup_accounts_clock_off_seconds (\S+)$/m.exec(text)?.[1]);
}
