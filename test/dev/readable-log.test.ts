import { createReadableLog } from '../../src/dev/readable-log.js';
import { AccessDeniedError } from '../../src/errors.js';
import { createLog } from '../../src/log.js';
import { accountEvents } from '../../src/log-events.js';

const SECRET = String.raw`a "quoted" back\slash of a secret`;

describe('the log on a terminal', () => {
  async function print(use: (log: ReturnType<typeof createLog>) => void): Promise<string> {
    let printed = '';
    const destination = await createReadableLog({ write: (text) => void (printed += text) });
    if (!destination) throw new Error('pino-pretty is not installed');
    use(createLog('info', [SECRET], destination));
    return printed;
  }

  test('is one readable line for each event, with its level, message and fields', async () => {
    const printed = await print((log) => log.info({ status: 200, path: '/graphql' }, 'request'));
    expect(printed).toMatch(
      /^\[\d\d:\d\d:\d\d\] \S*INFO\S*: \S*request\S* .*"status":200,"path":"\/graphql".*\n$/,
    );
    expect(printed.trimEnd()).not.toContain('\n');
  });

  test('has a cancelled consent on one line', async () => {
    const printed = await print((log) => accountEvents(log).onFailure(new AccessDeniedError()));
    expect(printed).toContain('"code":"ACCESS_DENIED"');
    expect(printed.trimEnd()).not.toContain('\n');
  });

  test('shows the stack of an error line by line', async () => {
    const printed = await print((log) => log.error({ err: new Error('no reply') }, 'internal error'));
    expect(printed).toContain('"message": "no reply"');
    expect(printed.split('\n').filter((line) => /^\s+at /.test(line)).length).toBeGreaterThan(1);
  });

  test.each([
    ['a configured secret', SECRET],
    ['a signed token', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl'],
    ['a code', 'https://app.example/cb?code=abc123secret', 'abc123secret'],
    ['a link token', 'x'.repeat(43)],
  ])('never contains %s, in any field', async (_what, text, secret = text) => {
    const printed = await print((log) => {
      log.info({ field: text, deep: { [text]: [text] } }, `about ${text}`);
      log.error({ err: new Error(`failed with ${text}`, { cause: new Error(text) }) });
    });
    expect(printed).toContain('[redacted]');
    expect(printed).not.toContain(secret);
  });

  test.each([
    ['C0', '\u001b[2J'],
    ['C1', '\u009b2J'],
  ])('prints no %s sequence that a terminal obeys', async (_kind, sequence) => {
    const printed = await print((log) => log.info({ text: sequence }, sequence));
    expect(printed).not.toContain(sequence);
  });
});
