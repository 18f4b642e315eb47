import { rmSync } from 'node:fs';
import { createGate } from '../../src/dev/instruments/faults.js';
import { createPerson } from '../../src/dev/rollup-id/people.js';
import { useDirectory, useStarted, useRollupId } from '../kit/hooks.js';
import { runProgram } from '../kit/processes.js';
import { randomKey, serverEnv } from '../kit/server-env.js';
import { startProcess } from '../kit/server.js';
import { createDataDirectory } from '../kit/test-database.js';

describe('a server that stops', () => {
  const rollup = useRollupId();
  const dataDirectory = useDirectory();
  const server = useStarted(async () =>
    startProcess({
      ...serverEnv(rollup, rollup),
      SHUTDOWN_GRACE_MS: '300',
      DATA_DIR: dataDirectory,
      TOKEN_KEYS: randomKey('k1'),
    }),
  );

  test('HTP-10 exits with 1 when the grace period is over and a request still runs', async () => {
    const gate = createGate();
    rollup.switches.faults.userinfo.standing = gate.fault;
    const tokens = await rollup.issue(createPerson({ email: 'mira@example.com' }), ['openid', 'email']);
    const link = `mutation ($input: LinkRollupAccountInput!) { linkRollupAccount(input: $input) { isNewUser } }`;
    const response = server.ask(link, { input: { tokens } }).catch(() => 'no response');
    await gate.arrived;
    expect(await server.stop('SIGTERM')).toBe(1);
    expect(await response).toBe('no response');
    expect(server.output()).toContain('"graceMs":300,"msg":"the shutdown grace period is over"');
  });
});

test('HTP-10 a server that starts stops as soon as it has started, with 0', async () => {
  const dataDirectory = createDataDirectory();
  const run = runProgram(['serve'], {
    PORT: '0',
    DATA_DIR: dataDirectory,
    LOG_LEVEL: 'trace',
    SHUTDOWN_GRACE_MS: '60000',
  });
  await run.until('"msg":"statement"');
  expect(run.output()).not.toContain('"msg":"ready"');
  run.process.kill('SIGTERM');
  expect(await run.exited).toBe(0);
  expect(run.output()).toContain('"signal":"SIGTERM","msg":"stopping"');
  rmSync(dataDirectory, { recursive: true });
});
