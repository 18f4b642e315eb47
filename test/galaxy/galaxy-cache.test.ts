import { GalaxyCache } from '../../src/galaxy/galaxy-cache.js';

const KEEP_MS = 3_600_000;
let now: number;
let memory: GalaxyCache;
beforeEach(() => {
  now = 0;
  memory = new GalaxyCache(KEEP_MS, () => now);
});

const remember = (accountId: string, untilMs = now) => memory.set(accountId, { failures: 0, until: untilMs });

test('the memory of Galaxy holds ten thousand accounts, those that were asked about last', () => {
  for (let index = 0; index < 10_002; index += 1) {
    remember(`account ${index}`);
    // Asked about again and again, so never among the oldest.
    remember('account 0');
  }
  expect(['account 0', 'account 3', 'account 10001'].map((id) => memory.get(id) !== undefined)).toEqual([
    true,
    true,
    true,
  ]);
  expect(['account 1', 'account 2'].map((id) => memory.get(id))).toEqual([undefined, undefined]);
});

test('what is too old to be shown goes with the next answer, unless it still keeps somebody from asking', () => {
  remember('old');
  remember('paused', KEEP_MS * 2);
  now = KEEP_MS - 1;
  remember('young');
  expect(memory.get('old')).toBeDefined();
  now = KEEP_MS;
  remember('next');
  expect(memory.get('old')).toBeUndefined();
  expect(memory.get('paused')).toBeDefined();
  now = KEEP_MS * 2;
  remember('last');
  expect(memory.get('paused')).toBeUndefined();
  expect(memory.get('last')).toBeDefined();
});
