import { readFileSync } from 'node:fs';
import { oldNode } from '../../src/cli/node-version.js';
import { ROOT, useCommands } from '../kit/installs.js';
import { type Run, runCommand, runProgram } from '../kit/processes.js';

const { version, engines } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  version: string;
  engines: { node: string };
};

const run = (...args: string[]): Run => runProgram(args, {});

describe('the command line', () => {
  test.each(['serve', 'migrate', 'keys', 'doctor', 'schema'])('explains %s', async (command) => {
    const help = run(command, '--help');
    expect(await help.exited).toBe(0);
    expect(help.output()).toContain(`Usage: rollup-accounts ${command}`);
    const list = run('--help');
    expect(await list.exited).toBe(0);
    expect(list.output()).toContain(`  ${command} `);
  });

  test('prints its version', async () => {
    const { output, exited } = run('--version');
    expect(await exited).toBe(0);
    expect(output()).toBe(`${version}\n`);
  });

  test.each([
    [[], 'Usage: rollup-accounts'],
    [['unlikely'], "unknown command 'unlikely'"],
    [['kyes'], 'Did you mean keys?'],
    [['serve', 'twice'], 'too many arguments'],
    [['migrate', '--fast'], "unknown option '--fast'"],
  ])('rejects %j with exit code 2, and says why on standard error', async (args, text) => {
    const { process, output, exited } = run(...args);
    let results = '';
    process.stdout?.on('data', (chunk: Buffer) => (results += chunk.toString()));
    expect(await exited).toBe(2);
    expect(output()).toContain(text);
    expect(output()).toContain('--help');
    expect(results).toBe('');
  });
});

describe('the version of Node', () => {
  const commands = useCommands();

  test('is good when it is the one of engines or a newer one', () => {
    const needed = engines.node.slice('>='.length);
    expect([`${needed}.0.0`, '26.3.1', '100.0.0'].map(oldNode)).toEqual([undefined, undefined, undefined]);
    expect(oldNode(`${Number(needed) - 1}.99.0`)).toContain(`needs Node ${needed} or newer`);
  });

  test('that is too old is one line, and exit code 1', async () => {
    const pretend = 'data:text/javascript,Object.defineProperty(process,"versions",{value:{node:"20.1.0"}})';
    const old = runCommand(process.execPath, ['--import', pretend, 'dist/cli/main.js', '--version'], {});
    expect(await old.exited).toBe(1);
    expect(old.output()).toBe(`rollup-accounts: ${oldNode('20.1.0')}\n`);
    expect(old.output().trim()).not.toContain('\n');
  });

  test('is checked before anything is imported that the Node of this machine may not run', async () => {
    const problem = oldNode((await commands.run(ROOT, 'node --version')).slice('v'.length).trim());
    const own = commands.start(ROOT, 'node dist/cli/main.js --version');
    expect(await own.exited).toBe(problem === undefined ? 0 : 1);
    expect(own.output()).toBe(`${problem === undefined ? version : `rollup-accounts: ${problem}`}\n`);
  });
});
