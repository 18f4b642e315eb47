import type { SqlEntityManager } from '@mikro-orm/sql';
import { createLog, describeError } from '../src/log.js';
import { useWorld } from './kit/hooks.js';
import { lineSink } from './kit/line-sink.js';

const SECRET = 'hunter2-the-value-of-a-row';

describe('the log', () => {
  test.each([
    ['a signed token', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl'],
    [
      'a code in a URL',
      'https://app.example/cb?code=abc123secret&state=def456secret',
      'abc123secret',
      'def456secret',
    ],
    ['a provider code', `0x${'ab'.repeat(24)}`],
    ['a link token', 'x'.repeat(43)],
    ['the client secret', SECRET],
  ])('never contains %s, in any field', (_title, text, ...parts) => {
    const lines: string[] = [];
    const log = createLog('trace', [SECRET], lineSink(lines));
    log.info({ field: text, deep: { [text]: [text] } }, `about ${text}`);
    log.error({ err: new Error(`failed with ${text}`, { cause: new Error(text) }) });
    for (const part of parts.length > 0 ? parts : [text]) expect(lines.join('')).not.toContain(part);
    for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
  });
});

test('HTP-23 long text that resembles a secret is redacted in linear time (no ReDoS)', () => {
  const lines: string[] = [];
  const log = createLog('info', [], lineSink(lines));
  // With backtracking from each position these would take minutes.
  const parts = ['eyJ', 'eyJa.', '0x', '?code=', 'a-', '-', 'eyJaaaaaaaa.'];
  for (const part of parts) log.info({ text: part.repeat(100_000) });
  expect(lines).toHaveLength(7);
});

describe('a database error', () => {
  const world = useWorld();

  const failures: [string, (em: SqlEntityManager) => Promise<unknown>][] = [
    [
      'a unique violation',
      (em) => em.execute(`insert into app_user (id, name) values (?, ?), (?, ?)`, [ID, SECRET, ID, SECRET]),
    ],
    [
      'a bad status',
      (em) =>
        em.execute(`insert into sealed_tokens values (?, ?, '', '', null, null, '', now(), null, 1)`, [
          ID,
          SECRET,
        ]),
    ],
    ['a bad UUID', (em) => em.execute('select * from app_user where id = ?', [SECRET])],
    [
      'a value that is too long',
      (em) =>
        em.execute(
          `create temporary table short as select ?::varchar(400) as text; alter table short alter text type varchar(3)`,
          [SECRET],
        ),
    ],
    ['a missing column', (em) => em.execute('select nothing from app_user where name = ?', [SECRET])],
  ];

  test.each(failures)('STO-03 %s is logged without the values of the statement', async (_title, fail) => {
    const error: unknown = await fail(world.em()).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(JSON.stringify(describeError(error))).not.toContain(SECRET);
    expect(describeError(error)).toMatchObject({ type: expect.stringMatching(/Exception|Error/) });
    expect(world.logLines.join('')).not.toContain(SECRET);
  });

  test('STO-03 reaches a client as an internal error whose correlationId finds it in the log', async () => {
    await world.em().execute('alter table app_user add constraint nobody check (name is null)');
    const [person] = world.people;
    const { input } = await world.approve(person);
    const { errors, text } = await world.ask(
      'mutation ($i: LinkRollupAccountInput!) { linkRollupAccount(input: $i) { userErrors { code } } }',
      { i: input },
    );
    await world.em().execute('alter table app_user drop constraint nobody');
    expect(errors[0]).toMatchObject({
      message: 'Something went wrong on our side.',
      extensions: { code: 'INTERNAL_SERVER_ERROR', correlationId: expect.any(String) },
    });
    expect(text).not.toContain(person.name ?? 'a name');
    const line = world.logLines.find((entry) =>
      entry.includes(String(errors[0]?.extensions['correlationId'])),
    );
    expect(line).toContain('"constraint":"nobody"');
    expect(world.logLines.join('')).not.toContain(person.name ?? 'a name');
  });
});

const ID = '5b0ed2a4-8a6e-4b5e-9a37-1f5b3a2c9d10';
