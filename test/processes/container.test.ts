import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { parse } from 'yaml';
import { buildImage, type Image } from '../kit/containerfile.js';
import { useDirectory, useStarted } from '../kit/hooks.js';
import { INSTALL_LIMIT_MS, MACHINE, useCommands } from '../kit/installs.js';
import { onPostgres } from '../kit/needs.js';
import { findFreePort } from '../kit/network.js';
import type { Run } from '../kit/processes.js';
import { PRODUCTION } from '../kit/server-env.js';
import { createTestDatabase } from '../kit/test-database.js';

/** As in the base image, `node` is the Node that the server needs. */
const PATH = `${dirname(process.execPath)}${delimiter}${MACHINE.PATH}`;

/** Production needs PostgreSQL. */
onPostgres('the container image, built by the commands of the Containerfile', () => {
  const directory = useDirectory();
  const commands = useCommands();
  const database = useStarted(() => createTestDatabase());
  let image: Image;

  beforeAll(async () => {
    image = await buildImage(directory, (cwd, command) => commands.run(cwd, command, { PATH }));
  }, INSTALL_LIMIT_MS);

  test('holds no compiler, no sources and no second Node, and does not run as root', () => {
    const holds = (path: string): boolean => existsSync(join(image.directory, path));
    expect(['dist/cli/main.js', 'node_modules/fastify'].filter((path) => !holds(path))).toEqual([]);
    expect(['src', 'node_modules/@swc', 'node_modules/.bin/node'].filter(holds)).toEqual([]);
    expect(image.user).not.toBe('root');
  });

  test('serves with the settings of compose.yaml, is healthy while it does, and stops on SIGTERM', async () => {
    const env = {
      ...image.env,
      ...composeSettings({ ...PRODUCTION, POSTGRES_PASSWORD: 'unused' }),
      ...database.env,
      // Neither is there.
      ROLLUP_ISSUER: 'https://127.0.0.1:1',
      REDIS_URL: 'redis://127.0.0.1:1',
      PORT: String(await findFreePort()),
      PATH,
    };
    const start = (command: readonly string[]): Run => commands.start(image.directory, command, env);
    const server = start(image.command);
    await server.until('"msg":"ready"');
    expect(await start(image.healthcheck).exited).toBe(0);
    server.process.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    expect(await start(image.healthcheck).exited).toBe(1);
  });
});

/** What compose.yaml gives the server, when these are the variables of its environment. */
function composeSettings(variables: Readonly<Record<string, string>>): Record<string, string> {
  interface Compose {
    services: { server: { environment: Record<string, string> } };
  }
  const { environment } = (parse(readFileSync('compose.yaml', 'utf8')) as Compose).services.server;
  const insert = (_match: string, name: string, kind: string, rest: string): string => {
    const value = variables[name] ?? (kind === ':-' ? rest : undefined);
    if (value === undefined) throw new Error(`${name} is required: ${rest}`);
    return value;
  };
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      value.replaceAll(/\$\{(\w+)(:[-?])([^}]*)\}/g, insert),
    ]),
  );
}
