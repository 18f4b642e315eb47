import {
  ClientMismatchError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
} from '../../src/errors.js';
import { CircuitBreaker } from '../../src/vault/circuit-breaker.js';

/** Nobody gives up. */
const WAITING = new AbortController().signal;

describe('the circuit breaker', () => {
  test('limits concurrent calls, and runs the next in the queue when one ends', async () => {
    const breaker = new CircuitBreaker({
      maxConcurrentCalls: 2,
      maxQueuedCalls: 10,
      probeIntervalMs: 1_000,
      now: () => 0,
    });
    const order: number[] = [];
    const calls = [0, 1, 2, 3].map(() => Promise.withResolvers<boolean>());
    const runs = calls.map(({ promise }, index) =>
      breaker.call('account', WAITING, () => {
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
    const breaker = new CircuitBreaker({
      maxConcurrentCalls: 1,
      maxQueuedCalls: 10,
      probeIntervalMs: 1_000,
      now: () => 0,
    });
    const outage = new ProviderUnavailableError(0);
    const failing = breaker.call('account', WAITING, async () => {
      throw outage;
    });
    await expect(failing).rejects.toBe(outage);
    expect(breaker.isOpen).toBe(false);
  });

  describe('VLT-77 when refresh tokens are said to be those of another client', () => {
    const mismatch = new ClientMismatchError();
    const start = () => {
      const breaker = new CircuitBreaker({
        maxConcurrentCalls: 1,
        maxQueuedCalls: 10,
        probeIntervalMs: 1e3,
        now: () => 0,
      });
      const fail = (accountId: string): Promise<unknown> =>
        breaker
          .call(accountId, WAITING, () => Promise.reject(mismatch))
          .then(
            () => undefined,
            (error: unknown) => error,
          );
      const answer = (fn: () => Promise<unknown>): Promise<unknown> =>
        breaker.call('good', WAITING, fn).catch(() => undefined);
      return { breaker, fail, answer };
    };

    test('one account is told so again and again: it fails alone', async () => {
      const { breaker, fail } = start();
      for (let count = 0; count < 20; count += 1) expect(await fail('bad')).toBe(mismatch);
      expect(breaker.isOpen).toBe(false);
    });

    test('several accounts agree: our credentials are at fault', async () => {
      const { breaker, fail } = start();
      expect(await fail('a')).toBe(mismatch);
      expect(await fail('b')).toBe(mismatch);
      expect(await fail('c')).toBeInstanceOf(ProviderMisconfiguredError);
      expect(breaker.isOpen).toBe(true);
    });

    test.each([
      ['a success', () => Promise.resolve(true)],
      ['a dead grant', () => Promise.reject(new GrantDeadError())],
    ])('%s of another in between shows that they are not', async (_title, fn) => {
      const { breaker, fail, answer } = start();
      for (const account of ['a', 'b', 'c', 'd']) {
        expect(await fail(account)).toBe(mismatch);
        await answer(fn);
      }
      expect(breaker.isOpen).toBe(false);
    });
  });

  describe('VLT-78 the queue of calls', () => {
    const start = async () => {
      const breaker = new CircuitBreaker({
        maxConcurrentCalls: 1,
        maxQueuedCalls: 2,
        probeIntervalMs: 1e3,
        now: () => 0,
      });
      const first = Promise.withResolvers<boolean>();
      const made: string[] = [];
      const call = (name: string, givenUp = WAITING): Promise<unknown> =>
        breaker
          .call(name, givenUp, async () => {
            made.push(name);
            return name === 'first' ? first.promise : true;
          })
          .catch((error: unknown) => error);
      const running = call('first');
      await ticks();
      return { breaker, call, made, finish: () => (first.resolve(true), running) };
    };

    test('is bounded: who comes too late is put off at once', async () => {
      const { breaker, call, made, finish } = await start();
      const queued = [call('second'), call('third')];
      expect(await call('fourth')).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 1_000 });
      expect(breaker.queued).toBe(2);
      await finish();
      await Promise.all(queued);
      expect(made).toEqual(['first', 'second', 'third']);
    });

    test('is left by those who give up, and never called for them', async () => {
      const { breaker, call, made, finish } = await start();
      const gaveUp = new AbortController();
      const [leaving, staying] = [call('leaving', gaveUp.signal), call('staying')];
      gaveUp.abort();
      expect(await leaving).toBeInstanceOf(ProviderUnavailableError);
      expect(breaker.queued).toBe(1);
      await finish();
      await staying;
      expect(made).toEqual(['first', 'staying']);
    });

    test('is not left by a call that has begun', async () => {
      const { breaker, call, made, finish } = await start();
      const gaveUp = new AbortController();
      const begun = call('begun', gaveUp.signal);
      await finish();
      gaveUp.abort();
      expect(await begun).toBe(true);
      expect(made).toEqual(['first', 'begun']);
      expect(breaker.queued).toBe(0);
    });
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
      breaker = new CircuitBreaker({
        maxConcurrentCalls: 1,
        maxQueuedCalls: 10,
        probeIntervalMs: 1_000,
        now: () => now,
      });
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
      return breaker.call('account', WAITING, () => {
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
