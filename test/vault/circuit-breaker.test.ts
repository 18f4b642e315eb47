import { ProviderMisconfiguredError, ProviderUnavailableError } from '../../src/errors.js';
import { CircuitBreaker } from '../../src/vault/circuit-breaker.js';

describe('the gate to the provider', () => {
  test('lets no more calls through at once than it may, and the next in line when one ends', async () => {
    const gate = new CircuitBreaker({ maxInFlight: 2, trialEveryMs: 1_000, now: () => 0 });
    const order: number[] = [];
    const calls = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
    const runs = calls.map(({ promise }, index) =>
      gate.run(() => {
        order.push(index);
        return promise;
      }),
    );
    await Promise.resolve();
    expect(order).toEqual([0, 1]);
    calls[1]?.resolve();
    await runs[1];
    expect(order).toEqual([0, 1, 2]);
    calls[0]?.reject(new Error('a failure frees its place too'));
    await expect(runs[0]).rejects.toThrow('a failure');
    expect(order).toEqual([0, 1, 2, 3]);
    for (const { resolve } of calls) resolve();
    await Promise.allSettled(runs);
  });

  test('opens when our credentials are refused, lets one trial through in a while, and closes when one succeeds', () => {
    let now = 0;
    const gate = new CircuitBreaker({ maxInFlight: 1, trialEveryMs: 1_000, now: () => now });
    gate.settle(new ProviderUnavailableError(0));
    expect(gate.circuitOpen).toBe(false);
    gate.settle(new ProviderMisconfiguredError());
    expect(() => gate.check()).toThrow(ProviderMisconfiguredError);
    now = 1_000;
    gate.check();
    expect(() => gate.check()).toThrow(ProviderMisconfiguredError);
    gate.settle(new ProviderMisconfiguredError());
    now = 1_999;
    expect(() => gate.check()).toThrow(ProviderMisconfiguredError);
    now = 2_000;
    gate.check();
    gate.settle();
    expect(gate.circuitOpen).toBe(false);
    gate.check();
  });
});
