import { readFileSync } from 'node:fs';
import { readSettings } from '../../src/config.js';
import { ConfigError } from '../../src/errors.js';
import { SettingsReader } from '../../src/settings-reader.js';
import { randomKey } from '../kit/server-env.js';

describe('the settings that are read', () => {
  test('are those of docs/settings.md: names, defaults and secrets', () => {
    const table = readFileSync('docs/settings.md', 'utf8').matchAll(/^\| `(\w+)` +\| (.+?) +\| (.+?) +\|$/gm);
    const documented = [...table].map(([, name, fallback, meaning]) =>
      setting(name, fallback, meaning?.startsWith('_secret_')),
    );
    const production = read({ NODE_ENV: 'production' });
    const derived = new Map(derivedSettings());
    const expected = [...read({}).known].map(([name, { fallback, secret }]) => {
      const inProduction = production.known.get(name)?.fallback;
      if (production.required.includes(name)) return setting(name, 'embedded', secret);
      if (fallback === undefined) return setting(name, 'none', secret);
      const written = derived.get(name) ?? `\`${fallback}\``;
      const exception = fallback === inProduction ? '' : ` (production: \`${inProduction}\`)`;
      return setting(name, `${written}${exception}`, secret);
    });
    expect(documented.toSorted()).toEqual(expected.toSorted());
  });

  test('are those of .env.example, commented out with their defaults, secrets named as such and empty', () => {
    const lines = readFileSync('.env.example', 'utf8').matchAll(/^# (.+)\n#(\w+)=(.*)$/gm);
    const listed = [...lines].map(([, comment, name, fallback]) =>
      setting(name, fallback, comment?.startsWith('secret: ')),
    );
    const expected = [...read({}).known].map(([name, { fallback, secret }]) =>
      setting(name, fallback ?? '', secret),
    );
    expect(listed.toSorted()).toEqual(expected.toSorted());
  });

  test('leave everything at its default when .env.example is taken over as it is', () => {
    const lines = readFileSync('.env.example', 'utf8').matchAll(/^#?([A-Z]\w+)=(.*)$/gm);
    const example = read(Object.fromEntries([...lines].map(([, name = '', value]) => [name, value])));
    expect(example.problems).toEqual([]);
    // A port that is set is not replaced by a free one.
    const rollupDevPort = { port: 4001, isSet: true };
    expect(example.settings).toEqual({ ...read({}).settings, rollupDevPort });
  });

  test('are all given that production needs by what the README says to paste', () => {
    const exported = readFileSync('README.md', 'utf8').matchAll(/^export (\w+)='?(.*?)'?$/gm);
    const env = Object.fromEntries([...exported].map(([, name = '', value]) => [name, value]));
    expect(env).toMatchObject({ NODE_ENV: 'production', TOKEN_KEYS_FILE: 'secrets/token-keys' });
    expect(read({ ...env, TOKEN_KEYS_FILE: '', TOKEN_KEYS: randomKey('k1') }).problems).toEqual([]);
  });
});

/** A setting in one line, so that lists of them can be compared. */
function setting(name = '', fallback = '', secret = false): string {
  return `${name} = ${fallback}${secret ? ', a secret' : ''}`;
}

function read(env: Readonly<Record<string, string | undefined>>) {
  const reader = new SettingsReader(env);
  const settings = readSettings(reader);
  const problems = problemsOf(reader);
  const required = problems.flatMap((problem) => /^(\w+) is required$/.exec(problem)?.[1] ?? []);
  return { known: reader.known, settings, problems, required };
}

function problemsOf(reader: SettingsReader): readonly string[] {
  try {
    reader.finish();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** Defaults that move with the value of another setting, as the documentation writes them. */
function derivedSettings(): [name: string, fallback: string][] {
  const defaults = [...read({}).known];
  return defaults.flatMap(([base, { fallback: value }]) => {
    const moved = read({ [base]: String(Number(value) + 1) }).known;
    return defaults.flatMap(([name, { fallback }]): [string, string][] => {
      const distance = Number(fallback) - Number(value);
      const follows = Number(moved.get(name)?.fallback) === Number(fallback) + 1;
      return follows ? [[name, `\`${base}\` + ${distance}`]] : [];
    });
  });
}
