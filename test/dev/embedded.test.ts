import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.js';
import { embed } from '../../src/dev/embedded.js';
import { useDirectory } from '../kit/hooks.js';

describe('what is embedded in development', () => {
  const directory = join(useDirectory(), 'data');
  const start = (env: Readonly<Record<string, string>>) => embed(loadConfig({ DATA_DIR: directory, ...env }));

  test('STO-25 is stored for its owner alone: the directory, the keys and the state of the provider', async () => {
    const { close } = await start({ PORT: '0' });
    await close();
    const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
    expect(modeOf(directory)).toBe('700');
    expect(readdirSync(directory).map((name) => [name, modeOf(join(directory, name))])).toEqual([
      ['rollup-id.json', '600'],
      ['token-keys', '600'],
    ]);
  });

  test('survives a restart: the same keys and credentials', async () => {
    const runs = [await start({ PORT: '0' }), await start({ PORT: '0' })] as const;
    for (const { close } of runs) await close();
    const [before, after] = runs.map(({ config: { rollup, vault, galaxy } }) => ({
      client: [rollup.clientId, rollup.clientSecret],
      keys: vault.keys,
      galaxyKey: galaxy.access?.apiKey,
    }));
    expect(after).toEqual(before);
  });
});
