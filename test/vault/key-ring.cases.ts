import { randomBytes } from 'node:crypto';
import { findKeyProblems, parseKeyRing } from '../../src/vault/key-ring.js';

const good = randomBytes(32).toString('base64url');
const other = randomBytes(32).toString('base64url');

describe('TOKEN_KEYS', () => {
  test('the first key encrypts and all decrypt', () => {
    const ring = parseKeyRing(`k2:${other}, k1:${good}`);
    expect(ring.currentKid).toBe('k2');
    expect(ring.kids).toEqual(['k2', 'k1']);
    expect(ring.key('k1')).toEqual(Buffer.from(good, 'base64url'));
    expect(ring.key('k3')).toBeUndefined();
  });

  test.each([
    ['16 bytes', `k1:${randomBytes(16).toString('base64url')}`, 'is not 32 bytes'],
    ['all zeros', `k1:${Buffer.alloc(32).toString('base64url')}`, 'is not random'],
    ['short base64', `k1:${good.slice(0, -1)}`, 'is not 32 bytes'],
    ['the same kid twice', `k1:${good},k1:${other}`, 'repeats a kid'],
    ['the same key for two kids', `k1:${good},k2:${good}`, 'repeats the key of another kid'],
    ['the example key of the documentation', 'k1:ZXhhbXBsZS1rZXktZnJvbS10aGUtUkVBRE1FLTAwMDE', 'example key'],
    ['no kid', good, 'is not of the form'],
    ['the key before the kid', `${good}:k1`, 'is not 32 bytes'],
    ['nothing', '', 'is not of the form'],
  ])('STO-18 refuses %s, naming the entry and not the key', (_title, setting, problem) => {
    const problems = findKeyProblems(setting);
    expect(problems).toEqual([expect.stringContaining(problem)]);
    expect(problems.join()).not.toContain(good);
    expect(() => parseKeyRing(setting)).toThrow('These settings need attention');
  });
});
