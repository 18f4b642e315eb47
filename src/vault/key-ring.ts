import { ConfigError } from '../errors.js';

/** The keys that wrap the data keys of stored tokens: the first one wraps, all of them unwrap. */
export interface KeyRing {
  /** `kid` of the key that wraps. */
  readonly currentKid: string;
  readonly kids: readonly string[];
  /** All keys, in the order of the ring. */
  readonly entries: readonly (readonly [kid: string, key: Uint8Array])[];
  /** The 32 bytes of a key, or undefined when the ring does not hold it. */
  key(kid: string): Uint8Array | undefined;
}

/** Of 32 bytes in base64url, the shortest form of a key. */
const KEY_CHARACTERS = 43;

/** Keys printed in documentation are public, so they are rejected. */
const PUBLISHED_KEYS = new Set(['ZXhhbXBsZS1rZXktZnJvbS10aGUtUkVBRE1FLTAwMDE']);

/**
 * Reads `TOKEN_KEYS`: `kid:base64url(32 bytes)`, comma-separated. Throws a `ConfigError` with every problem that
 * `findKeyProblems` finds.
 */
export function parseKeyRing(setting: string): KeyRing {
  const { keys, problems } = readEntries(setting);
  if (problems.length > 0) throw new ConfigError(problems);
  const kids = [...keys.keys()];
  return { currentKid: kids[0] ?? '', kids, entries: [...keys], key: (kid) => keys.get(kid) };
}

/**
 * What is wrong with a `TOKEN_KEYS` setting, by position and kid, never by content: wrong length or encoding, a
 * kid or a key used twice, a key without randomness, a key taken from documentation.
 */
export function findKeyProblems(setting: string): readonly string[] {
  return readEntries(setting).problems;
}

function readEntries(setting: string): { keys: Map<string, Uint8Array>; problems: string[] } {
  const problems: string[] = [];
  const keys = new Map<string, Uint8Array>();
  const seen = new Set<string>();
  for (const [index, entry] of setting.split(',').entries()) {
    const [, kid = '', encoded = ''] = /^\s*([\w.-]{1,64}):([\w-]+)\s*$/.exec(entry) ?? [];
    const problem = findKeyProblem(kid, encoded, keys, seen);
    // A kid as long as a key may be one, in an entry that was written the wrong way round.
    const name = kid !== '' && kid.length < KEY_CHARACTERS ? ` (kid ${kid})` : '';
    if (problem) problems.push(`TOKEN_KEYS entry ${index + 1}${name} ${problem}`);
    keys.set(kid, Buffer.from(encoded, 'base64url'));
    seen.add(encoded);
  }
  return { keys, problems };
}

function findKeyProblem(
  kid: string,
  encoded: string,
  keys: ReadonlyMap<string, Uint8Array>,
  seen: ReadonlySet<string>,
): string | undefined {
  if (kid === '') return 'is not of the form kid:base64url';
  const bytes = Buffer.from(encoded, 'base64url');
  if (bytes.length !== 32 || bytes.toString('base64url') !== encoded) return 'is not 32 bytes in base64url';
  if (keys.has(kid)) return 'repeats a kid';
  if (seen.has(encoded)) return 'repeats the key of another kid';
  // 32 random bytes hold fewer than 16 distinct values about once in 10^17 rings.
  if (new Set(bytes).size < 16) return 'is not random';
  if (PUBLISHED_KEYS.has(encoded)) return 'is the example key of the documentation';
  return undefined;
}
