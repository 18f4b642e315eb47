import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.js';
import { embed } from '../../src/dev/embedded.js';
import { useDirectory } from '../kit/hooks.js';

describe('what is embedded in development', () => {
  const directory = join(useDirectory(), 'data');
  const running: { close(): Promise<void> }[] = [];
  const start = async (env: Readonly<Record<string, string>>) => {
    const embedded = await embed(loadConfig({ DATA_DIR: directory, ...env }));
    running.push(embedded);
    return embedded;
  };
  afterEach(async () => {
    for (const embedded of running.splice(0)) await embedded.close();
  });

  test('STO-25 is stored for its owner alone: the directory, the keys and the state of the provider', async () => {
    await start({ PORT: '0' });
    const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
    expect(modeOf(directory)).toBe('700');
    expect(readdirSync(directory).map((name) => [name, modeOf(join(directory, name))])).toEqual([
      ['rollup-id.json', '600'],
      ['token-keys', '600'],
    ]);
  });

  test('survives a restart: the same keys and credentials', async () => {
    const runs = [await start({ PORT: '0' }), await start({ PORT: '0' })] as const;
    const [before, after] = runs.map(({ config: { rollup, vault, galaxy } }) => ({
      client: [rollup.clientId, rollup.clientSecret],
      keys: vault.keys,
      galaxyKey: galaxy.access?.apiKey,
    }));
    expect(after).toEqual(before);
  });
});
