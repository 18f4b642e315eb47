import { rmSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { useStarted } from '../kit/hooks.js';
import { needs, onPostgres } from '../kit/needs.js';
import { type Run, runCommand } from '../kit/processes.js';
import { PRODUCTION } from '../kit/server-env.js';
import { createDataDirectory, createTestDatabase } from '../kit/test-database.js';

/** A configured secret, which a request brings into the log. */
const SECRET = 'a-galaxy-key-of-some-length';
const GALAXY = { GALAXY_URL: 'https://127.0.0.1:1/graphql', GALAXY_API_KEY: SECRET };
const OPEN = /^ {2}Open http:\/\/127\.0\.0\.1:\d+\/graphiql in your browser\.$/m;
const SERVE = ['dist/cli/main.js', 'serve'];

let directory: string;
beforeEach(() => void (directory = createDataDirectory()));
afterEach(() => rmSync(directory, { recursive: true }));

/** `script` of util-linux, which every Debian has, runs a command on a pseudo terminal. */
needs('script')('the output of a server on a terminal', () => {
  test('is readable lines in development, without secrets; Ctrl-C ends it with exit code 0', async () => {
    const { output, code } = await runOnTerminal({ DATA_DIR: directory, PORT: '0', ...GALAXY });
    expect(output).toMatch(/^\[\d\d:\d\d:\d\d\] INFO: ready \{"url":"http.*$/m);
    expect(output).toMatch(/^\[\d\d:\d\d:\d\d\] INFO: request .*"path":"\/\[redacted\]"/m);
    expect(output).toMatch(OPEN);
    expect(output).toMatch(/^ {2}The embedded Rollup ID is at http:\/\/127\.0\.0\.1:\d+$/m);
    expect(output).not.toContain(SECRET);
    expect(output).not.toContain('"level"');
    expect(code).toBe(0);
  });

  onPostgres('in production', () => {
    const database = useStarted(() => createTestDatabase());

    test('is JSON lines', async () => {
      const env = { ...PRODUCTION, ROLLUP_ISSUER: 'https://127.0.0.1:1', ...GALAXY, ...database.env };
      const { output, code } = await runOnTerminal(env);
      expect(output).toMatch(/^\{"level":"info",.*"msg":"ready"\}$/m);
      expect(output).not.toContain('graphiql');
      expect(code).toBe(0);
    });
  });
});

test('the output of a server in a pipe is JSON lines, without secrets', async () => {
  const { output, code } = await runInPipe({ DATA_DIR: directory, PORT: '0', ...GALAXY });
  const lines = output.split('\n').filter((line) => line !== '' && !line.startsWith('  '));
  const records = lines.map((line) => JSON.parse(line) as unknown);
  expect(records).toContainEqual(expect.objectContaining({ level: 'info', msg: 'ready' }));
  expect(records).toContainEqual(expect.objectContaining({ msg: 'request', path: '/[redacted]' }));
  expect(output).toMatch(OPEN);
  expect(output).not.toContain(SECRET);
  expect(code).toBe(0);
});

/** Runs a server on a terminal until it has logged a request with the secret in its path, then presses Ctrl-C. */
function runOnTerminal(env: Readonly<Record<string, string>>) {
  const command = `exec '${process.execPath}' ${SERVE.join(' ')}`;
  const args = ['-qec', command, '/dev/null'];
  const run = runCommand('script', args, { TERM: 'xterm', SHELL: '/bin/sh', SHUTDOWN_DELAY_MS: '0', ...env });
  return requestAndEnd(run, () => run.process.stdin?.write('\u0003'));
}

/** The same in a pipe, with SIGINT. */
function runInPipe(env: Readonly<Record<string, string>>) {
  const run = runCommand(process.execPath, SERVE, { SHUTDOWN_DELAY_MS: '0', ...env });
  return requestAndEnd(run, () => run.process.kill('SIGINT'));
}

async function requestAndEnd(run: Run, end: () => void) {
  try {
    await run.until('"url":"http');
    await run.until('ready');
    const url = /"url":"(http:[^"]+)"/.exec(run.output())?.[1] ?? '';
    expect((await fetch(`${url}/${SECRET}`)).status).toBe(404);
    await run.until('"status":404');
    end();
    const code = await run.exited;
    return { output: stripVTControlCharacters(run.output()).replaceAll('\r', ''), code };
  } finally {
    run.process.kill('SIGKILL');
  }
}
