import { KeyedQueue } from '../../src/database/keyed-queue.js';
import { OverloadedError } from '../../src/errors.js';

describe('what locks the same rows', () => {
  const forEver = new Promise<never>(() => undefined);
  const started: string[] = [];
  beforeEach(() => void (started.length = 0));
  const start = async (name: string, until: Promise<unknown> = Promise.resolve()): Promise<void> => {
    started.push(name);
    await until;
  };

  test('VLT-64 takes turns, whether it succeeds or fails, and nothing else waits for it', async () => {
    const queue = new KeyedQueue(60_000);
    let end = (): void => undefined;
    const running = new Promise<void>((resolve) => (end = resolve));
    const first = queue.run('a', () => start('first', running));
    const second = queue.run('a', async () => {
      await start('second');
      throw new Error('failed');
    });
    const third = queue.run('a', () => start('third'));
    await queue.run('b', () => start('another'));
    expect(started).toEqual(['first', 'another']);
    end();
    await first;
    await expect(second).rejects.toThrow('failed');
    await third;
    expect(started).toEqual(['first', 'another', 'second', 'third']);
  });

  test('VLT-64 gives up when its turn does not come in time, and does not let the next one past', async () => {
    const queue = new KeyedQueue(1);
    void queue.run('a', () => start('stuck', forEver));
    for (const name of ['second', 'third']) {
      await expect(queue.run('a', () => start(name))).rejects.toThrow(OverloadedError);
    }
    expect(started).toEqual(['stuck']);
  });
});
