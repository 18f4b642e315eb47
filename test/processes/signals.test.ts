import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { useDirectory } from '../kit/hooks.js';
import { hasLeftovers, ROOT, signalGroup, useCommands } from '../kit/installs.js';
import { readyUrl, type Run } from '../kit/processes.js';

const BODY = JSON.stringify({ query: '{ me { id } }' });

/** As `kill` does it, and as Ctrl-C does it: the terminal signals every process, and npm passes the signal on. */
const toNpm = (run: Run): void => void run.process.kill('SIGTERM');
const toAll = (run: Run): void => signalGroup(run, 'SIGINT');

describe('HTP-10 a signal', () => {
  const commands = useCommands();
  const DATA_DIR = useDirectory();

  test.each([
    ['SIGTERM to npm start', 'npm start', toNpm],
    ['Ctrl-C on npm start', 'npm start', toAll],
    ['SIGTERM to npm run serve', 'npm run serve', toNpm],
    ['Ctrl-C on npm run serve', 'npm run serve', toAll],
  ])(
    '%s: the request in flight is answered, npm exits with 0, nothing is left',
    async (_title, command, send) => {
      const run = commands.start(ROOT, command, { DATA_DIR, PORT: '0', SHUTDOWN_DELAY_MS: '0' });
      const finish = await beginRequest(`${await readyUrl(run)}/graphql`);
      send(run);
      await run.until('"msg":"stopping"');
      expect(await finish()).toBe('{"data":{"me":null}}\n');
      expect(await run.exited).toBe(0);
      expect(hasLeftovers(run)).toBe(false);
    },
  );
});

/** Sends a request without its body, and returns, once the server has it, what sends the rest and reads the response. */
async function beginRequest(url: string): Promise<() => Promise<string>> {
  const headers = {
    'content-type': 'application/json',
    'content-length': BODY.length,
    expect: '100-continue',
  };
  const sent = request(url, { method: 'POST', headers });
  const response = once(sent, 'response');
  sent.flushHeaders();
  await Promise.race([once(sent, 'continue'), response]);
  return async () => {
    sent.end(BODY);
    const [message] = (await response) as [NodeJS.ReadableStream];
    return text(message);
  };
}
