import { startWorld } from '../kit/world.js';

test('RFR-31 a server that is closed refreshes nothing ahead any more', async () => {
  const { jest } = import.meta;
  // Only intervals: the rounds of the background refresh. Everything else goes on.
  const doNotFake = FAKEABLE.filter((name) => !name.endsWith('Interval'));
  jest.useFakeTimers({ doNotFake });
  try {
    const before = jest.getTimerCount();
    const world = await startWorld({ env: { REFRESH_AHEAD_SECONDS: '10' } });
    // Those of the rounds, the heartbeat, the purge, the revocations, the userinfo that was missed and the clock.
    expect(jest.getTimerCount()).toBe(before + 6);
    await world.close();
    expect(jest.getTimerCount()).toBe(before);
  } finally {
    jest.useRealTimers();
  }
});

const FAKEABLE = [
  'Date',
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'requestAnimationFrame',
  'cancelAnimationFrame',
  'requestIdleCallback',
  'cancelIdleCallback',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const;
