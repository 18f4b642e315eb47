import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { useDirectory } from '../kit/hooks.js';
import { copyClone, INSTALL_LIMIT_MS, ROOT, useCommands } from '../kit/installs.js';
import { readyUrl } from '../kit/processes.js';

const directory = useDirectory();
const { run, start } = useCommands();

describe('a production install', () => {
  const temporary = join(directory, 'tmp');
  const clone = join(directory, 'clone');
  const inClone = (path: string): string => join(clone, path);
  const read = (path: string): string => readFileSync(inClone(path), 'utf8');

  beforeAll(async () => {
    mkdirSync(temporary);
    copyClone(clone);
    await run(clone, 'npm ci', { NODE_ENV: 'production', TMPDIR: temporary });
  }, INSTALL_LIMIT_MS);

  beforeEach(() => {
    rmSync(inClone('src'), { recursive: true });
    copyClone(clone);
  });

  test('of a fresh clone is built, without a compiler in it and with nothing left behind', () => {
    expect(existsSync(inClone('dist/cli/main.js'))).toBe(true);
    expect(existsSync(inClone('node_modules/@swc'))).toBe(false);
    expect(readdirSync(temporary).filter((name) => name.startsWith('rollup-accounts'))).toEqual([]);
  });

  test('is served by npm run serve, and says how to get GraphiQL', async () => {
    const server = start(clone, 'npm run serve', { PORT: '0' });
    const url = await readyUrl(server);
    const graphiql = await fetch(`${url}/graphiql`);
    expect([graphiql.status, await graphiql.text()]).toEqual([200, expect.stringContaining('npm ci')]);
    const body = JSON.stringify({ query: '{ me { id } }' });
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body });
    expect(await response.json()).toEqual({ data: { me: null } });
    server.process.kill('SIGTERM');
    expect(await server.exited).toBe(0);
  });

  test('borrows a compiler when a source has changed, and only then', async () => {
    appendFileSync(inClone('src/scope.ts'), 'export const added = 1;\n');
    rmSync(inClone('src/json.ts'));
    await run(clone, 'npm run build');
    expect(read('dist/scope.js')).toContain('export const added = 1;');
    expect(existsSync(inClone('dist/json.js'))).toBe(false);
    // Without a registry and a cache an install would fail.
    const offline = { npm_config_offline: 'true', npm_config_cache: join(directory, 'empty-cache') };
    await run(clone, 'npm run build', offline);
    appendFileSync(inClone('src/scope.ts'), 'export const more = 1;\n');
    await expect(run(clone, 'npm run build', offline)).rejects.toThrow('ENOTCACHED');
  });

  test('borrows no compiler but that of the lock file', async () => {
    appendFileSync(inClone('src/scope.ts'), 'export const tampered = 1;\n');
    const hash = /(?<="node_modules\/@swc\/types": \{[^}]*"integrity": "sha512-)[^"]{8}/;
    writeFileSync(inClone('package-lock.json'), read('package-lock.json').replace(hash, 'AAAAAAAA'));
    await expect(run(clone, 'npm run build')).rejects.toThrow('EINTEGRITY');
    expect(read('dist/scope.js')).not.toContain('tampered');
  });

  test(
    'also comes from npm ci --omit=dev, and without the Node of the lock file',
    async () => {
      rmSync(inClone('dist'), { recursive: true });
      await run(clone, 'npm ci --omit=dev --omit=optional');
      expect(existsSync(inClone('dist/cli/main.js'))).toBe(true);
      expect(existsSync(inClone('node_modules/@swc'))).toBe(false);
    },
    INSTALL_LIMIT_MS,
  );

  test(
    'packs what runs and nothing else, and the packed file brings the command and its Node',
    async () => {
      const target = join(directory, 'packed');
      mkdirSync(target);
      const list = await run(clone, `npm pack --json --silent --pack-destination ${target}`);
      const [pack] = JSON.parse(list) as [{ filename: string; files: { path: string }[] }];
      const paths = pack.files.map(({ path }) => path).filter((path) => !/^dist\/.+\.js(\.map)?$/.test(path));
      expect(paths.filter((path) => !['LICENSE', 'README.md', 'package.json'].includes(path))).toEqual([]);
      await run(target, `npm install ./${pack.filename}`);
      expect(await run(target, 'npx rollup-accounts --version')).toBe('0.1.0\n');
    },
    INSTALL_LIMIT_MS,
  );
});

test('a build removes what has no source any more, and leaves alone what is right', async () => {
  const clone = join(directory, 'development');
  copyClone(clone);
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  await run(clone, 'npm run build');
  const main = join(clone, 'dist/cli/main.js');
  const before = statSync(main, { bigint: true }).mtimeNs;
  writeFileSync(join(clone, 'dist/cli/removed.js'), '');
  await run(clone, 'npm run build');
  expect(existsSync(join(clone, 'dist/cli/removed.js'))).toBe(false);
  expect(statSync(main, { bigint: true }).mtimeNs).toBe(before);
});
