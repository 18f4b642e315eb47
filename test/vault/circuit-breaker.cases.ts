import { GrantDeadError, ProviderMisconfiguredError, ProviderUnavailableError } from '../../src/errors.js';
import { CircuitBreaker } from '../../src/vault/circuit-breaker.js';

describe('the circuit breaker', () => {
  test('limits concurrent calls, and runs the next in the queue when one ends', async () => {
    const breaker = new CircuitBreaker({ maxConcurrentCalls: 2, probeIntervalMs: 1_000, now: () => 0 });
    const order: number[] = [];
    const calls = [0, 1, 2, 3].map(() => Promise.withResolvers<boolean>());
    const runs = calls.map(({ promise }, index) =>
      breaker.call(() => {
        order.push(index);
        return promise;
      }),
    );
    await ticks();
    expect(order).toEqual([0, 1]);
    calls[1]?.resolve(true);
    await runs[1];
    await ticks();
    expect(order).toEqual([0, 1, 2]);
    calls[0]?.reject(new Error('a failure frees its slot too'));
    await expect(runs[0]).rejects.toThrow('a failure');
    await ticks();
    expect(order).toEqual([0, 1, 2, 3]);
    for (const { resolve } of calls) resolve(true);
    await Promise.allSettled(runs);
  });

  test('stays closed when the provider fails for any other reason', async () => {
    const breaker = new CircuitBreaker({ maxConcurrentCalls: 1, probeIntervalMs: 1_000, now: () => 0 });
    const outage = new ProviderUnavailableError(0);
    const failing = breaker.call(async () => {
      throw outage;
    });
    await expect(failing).rejects.toBe(outage);
    expect(breaker.isOpen).toBe(false);
  });

  describe('after our credentials were rejected', () => {
    let now: number;
    let calls: number;
    let breaker: CircuitBreaker;
    const succeed = (): Promise<unknown> => call(() => Promise.resolve(true));
    const fail = (failure: Error): Promise<unknown> =>
      call(async () => {
        throw failure;
      });
    const misconfigured = new ProviderMisconfiguredError();
    beforeEach(async () => {
      [now, calls] = [0, 0];
      breaker = new CircuitBreaker({ maxConcurrentCalls: 1, probeIntervalMs: 1_000, now: () => now });
      await fail(misconfigured).catch(() => undefined);
      calls = 0;
    });

    test('is open: rejects calls without making them', async () => {
      now = 999;
      await expect(succeed()).rejects.toThrow(ProviderMisconfiguredError);
      expect(calls).toBe(0);
    });

    test('lets one half-open probe through in each interval, and stays open when it is rejected', async () => {
      now = 1_000;
      const probe = Promise.withResolvers<boolean>();
      const probing = call(() => probe.promise);
      await expect(succeed()).rejects.toThrow(ProviderMisconfiguredError);
      probe.reject(misconfigured);
      await expect(probing).rejects.toBe(misconfigured);
      now = 1_999;
      await expect(succeed()).rejects.toThrow(ProviderMisconfiguredError);
      expect(calls).toBe(1);
      now = 2_000;
      await succeed();
      expect(calls).toBe(2);
    });

    test.each([
      ['a success', () => Promise.resolve(true)],
      ['a dead grant', () => Promise.reject(new GrantDeadError())],
    ])('is closed by %s, because the credentials were accepted', async (_name, fn) => {
      now = 1_000;
      await call(fn).catch(() => undefined);
      expect(breaker.isOpen).toBe(false);
      await succeed();
    });

    test.each([
      ['an outage', () => Promise.reject(new ProviderUnavailableError(0))],
      ['a probe that made no call', () => Promise.resolve(undefined)],
    ])('is not closed by %s', async (_name, fn) => {
      now = 1_000;
      await call(fn).catch(() => undefined);
      expect(breaker.isOpen).toBe(true);
      await expect(succeed()).rejects.toThrow(ProviderMisconfiguredError);
    });

    test('rejects a call that was queued when the circuit opened, without making it', async () => {
      now = 1_000;
      await succeed();
      const first = Promise.withResolvers<boolean>();
      const running = call(() => first.promise);
      const queued = succeed();
      await ticks();
      calls = 0;
      first.reject(misconfigured);
      await expect(running).rejects.toBe(misconfigured);
      await expect(queued).rejects.toThrow(ProviderMisconfiguredError);
      expect(calls).toBe(0);
    });

    function call(fn: () => Promise<unknown>): Promise<unknown> {
      return breaker.call(() => {
        calls += 1;
        return fn();
      });
    }
  });
});

/** Lets everything run that is ready. */
function ticks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
