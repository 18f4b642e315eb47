import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../kit/eventually.js';
import { useDirectory } from '../kit/hooks.js';
import { needs, onPostgres } from '../kit/needs.js';
import { runProgram } from '../kit/processes.js';
import { codesOf, linkPeople } from '../kit/renewals.js';
import { type Done, endOf, runLine, startOnTerminal, startRefused } from '../kit/runbook.js';
import { randomKey } from '../kit/server-env.js';
import { type LinkedPerson, type Server, type Servers, startServers } from '../kit/servers.js';

const [k1, k2] = [randomKey('k1'), randomKey('k2')];
const PEOPLE = 3;

onPostgres('of a database that servers use,', () => {
  let all: Servers;
  let people: LinkedPerson[];
  beforeEach(async () => {
    all = await startServers(1, { env: { TOKEN_KEYS: `${k1},${k2}` } });
    people = await linkPeople(all, PEOPLE);
  });
  afterEach(() => all.close());

  test('VLT-09 keys status shows accounts, states and servers, as text and as JSON', async () => {
    const other = await all.add({ TOKEN_KEYS: `${k2},${k1}` });
    await all
      .em()
      .execute(`insert into token_key (kid, check_value, retired_at) values ('k0', 'any', now())`);
    const [first, second] = [nameOf(all.server), nameOf(other)];
    const text = (await keys('status')).output;
    expect(text).toMatch(/^key +accounts +state +held by +sealing with it$/m);
    expect(text).toMatch(/^k0 +0 +retired +0 of 2 servers +0$/m);
    expect(text).toMatch(/^k1 +3 +used +2 of 2 servers +1$/m);
    expect(text).toMatch(new RegExp(`^\\S+ \\(${first}\\) +k1, k2 +\\d+ s ago$`, 'm'));
    const status = JSON.parse((await keys('status --json')).output) as Status;
    expect(status.keys.find(({ kid }) => kid === 'k2')).toEqual({
      kid: 'k2',
      accounts: 0,
      state: 'used',
      heldBy: expect.arrayContaining([withPid(first), withPid(second)]) as unknown,
      sealing: [withPid(second)],
    });
    expect(status.servers).toContainEqual({
      server: withPid(second),
      kids: ['k2', 'k1'],
      seenSecondsAgo: expect.any(Number) as number,
    });
  });

  test('VLT-10 keys retire refuses a key that is unknown, that a server seals with or that accounts need', async () => {
    const known = 'This database knows no key "k9". It knows "k1", "k2".';
    expect(await keys('retire k9')).toEqual({ code: 1, output: `rollup-accounts: ${known}\n` });
    const sealing = await keys('retire k1');
    expect(sealing).toMatchObject({ code: 1, output: containing('Servers seal with the key "k1"') });
    expect(sealing.output).toContain(nameOf(all.server));
    await all.server.stop();
    const needed = containing('3 accounts need the key "k1". Run "keys rotate" first.');
    expect(await keys('retire k1')).toMatchObject({ code: 1, output: needed });
    expect(await stateOf('k1')).toBe('used');
    expect(await keys('rotate', `${k2},${k1}`)).toMatchObject({ code: 0 });
    expect(await keys('retire k1')).toMatchObject({ code: 0 });
    expect(await stateOf('k1')).toBe('retired');
    const refused = containing('The key "k1" was retired and seals nothing any more.');
    expect(await serve(`${k1},${k2}`)).toMatchObject({ code: 1, output: refused });
    await expectTokens(await all.add({ TOKEN_KEYS: k2 }));
  });

  test('VLT-11 keys give-up without --yes and without a terminal changes nothing, nor while a server holds the key', async () => {
    const held = await keys('give-up k1 --yes');
    expect(held).toMatchObject({ code: 1, output: containing('The key "k1" is not lost') });
    expect(held.output).toContain(nameOf(all.server));
    await all.server.stop();
    const own = await keys('give-up k1 --yes', k1);
    expect(own).toMatchObject({ code: 1, output: containing('is not lost: TOKEN_KEYS has it') });
    const unasked = containing('This ends 3 accounts. Run it on a terminal, or with --yes.');
    expect(await keys('give-up k1')).toMatchObject({ code: 1, output: unasked });
    expect(await stateOf('k1')).toBe('used');
    expect(await all.wrappedBy('k1')).toBe(PEOPLE);
    await expectTokens(await all.add());
  });

  test('VLT-11 keys give-up that is killed halfway frees the start, and run again ends the rest', async () => {
    await all.server.stop();
    const [last] = people as [LinkedPerson];
    const { killed, release } = await holdRow(last);
    await waitUntil(async () => (await all.wrappedBy('k1')) === 1);
    killed.process.kill('SIGKILL');
    expect(await killed.exited).toBe('SIGKILL');
    await release();
    expect(await stateOf('k1')).toBe('given up');
    const server = await all.add({ TOKEN_KEYS: k2 });
    expect(await codesAt(server)).toEqual(['INTERNAL_SERVER_ERROR', 'REAUTHENTICATION_REQUIRED']);
    expect(server.output()).toContain('"event":"key_missing"');
    const again = containing('gave up the key "k1": 1 accounts have to be linked again');
    expect(await keys('give-up k1 --yes')).toMatchObject({ code: 0, output: again });
    expect(await codesAt(server)).toEqual(['REAUTHENTICATION_REQUIRED']);
    expect(all.rollup.calls.refresh).toBe(0);
    const refused = containing('The key "k1" was given up and seals nothing any more.');
    expect(await serve(`${k1},${k2}`)).toMatchObject({ code: 1, output: refused });
  });

  test.each(['retire k1', 'rotate', 'give-up k1 --yes'])(
    'VLT-10 keys %s on a database that only reads says so, without a stack',
    async (command) => {
      await all.server.stop();
      await all.em().execute(`do $$ begin
        execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`);
      const ring = command === 'rotate' ? `${k2},${k1}` : undefined;
      const { code, output } = await keys(command, ring);
      expect(code).toBe(1);
      expect(output).toContain('rollup-accounts: The database only reads: 25006. Name the primary');
      expect(output).not.toContain('"stack"');
    },
  );

  needs('script')('on a terminal', () => {
    test.each([
      ['Ctrl-C', '\u0003'],
      ['another word', 'k2\r'],
    ])('VLT-11 keys give-up asks, and after %s nothing was changed', async (_what, answer) => {
      await all.server.stop();
      const { code, output } = await answerGiveUp(() => answer);
      expect(code).toBe(1);
      expect(output).toContain('This ends 3 accounts: their users have to link again.');
      expect(output).toMatch(/^rollup-accounts: Nothing was changed\.\r?$/m);
      expect(output).not.toContain('"level"');
      expect(await stateOf('k1')).toBe('used');
    });

    test('VLT-11 keys give-up is refused when a server with the key comes back before the answer', async () => {
      await all.server.stop();
      const { code, output } = await answerGiveUp(async () => {
        await all.add();
        return 'k1\r';
      });
      expect(code).toBe(1);
      expect(output).toContain('The key "k1" is not lost');
      expect(await stateOf('k1')).toBe('used');
    });
  });

  needs('pg_dump')('with its dump', () => {
    const directory = useDirectory();

    test('STO-05 no key is in the database, in a command line, nor in an environment when it is in a file', async () => {
      const path = join(directory, 'token-keys');
      writeFileSync(path, `${k2},${k1}`);
      const settings = { TOKEN_KEYS: '', TOKEN_KEYS_FILE: path };
      const server = await all.add(settings);
      await linkPeople({ ...all, servers: [server] }, 1);
      const rotating = runProgram(['keys', 'rotate'], { ...all.env, ...settings });
      const seen = [procOf(rotating.process.pid), procOf(server.run?.process.pid)].join('\n');
      expect(await rotating.exited).toBe(0);
      rmSync(path);
      expect(seen).toContain('TOKEN_KEYS_FILE=');
      expect(seen).toContain('rotate');
      const dump = await runLine('pg_dump --data-only "$DATABASE_URL"', database());
      expect(dump.output).toContain('COPY public.sealed_tokens');
      for (const form of [k1, k2].flatMap(formsOf)) {
        expect(dump.output).not.toContain(form);
        expect(seen).not.toContain(form);
      }
    });
  });

  const database = () => ({ DATABASE_URL: all.env['DATABASE_URL'] ?? '' });
  const keys = (command: string, TOKEN_KEYS = ''): Promise<Done> =>
    runLine(`npx rollup-accounts keys ${command}`, { ...database(), TOKEN_KEYS });
  const serve = (TOKEN_KEYS: string): Promise<Done> => startRefused({ ...all.env, TOKEN_KEYS });

  async function answerGiveUp(answer: () => Promise<string> | string): Promise<Done> {
    const run = startOnTerminal('npx rollup-accounts keys give-up k1', database());
    await run.until('Type k1 to go on');
    run.process.stdin?.write(await answer());
    return endOf(run);
  }

  /** Starts to give the key up while a row is locked, which it then cannot reach. */
  async function holdRow({ accountId }: LinkedPerson) {
    const locking = all.em();
    await locking.begin();
    await locking.execute('select from sealed_tokens where account_id = ? for update', [accountId]);
    const before = await backends();
    const killed = runProgram(['keys', 'give-up', 'k1', '--yes'], database());
    const release = async (): Promise<void> => {
      // What the killed process sent last may still be carried out.
      await waitUntil(async () => (await backends()).every((pid) => before.includes(pid)));
      await locking.rollback();
    };
    return { killed, release };
  }

  async function backends(): Promise<number[]> {
    const rows = await all
      .em()
      .execute<{ pid: number }[]>('select pid from pg_stat_activity where datname = current_database()');
    return rows.map(({ pid }) => pid);
  }

  async function stateOf(wanted: string): Promise<string | undefined> {
    const status = JSON.parse((await keys('status --json')).output) as Status;
    return status.keys.find(({ kid }) => kid === wanted)?.state;
  }

  async function codesAt(server: Server): Promise<unknown[]> {
    const renewals = await Promise.all(people.map(({ bearer }) => all.renew(server, bearer)));
    return codesOf(renewals).map(String).toSorted();
  }

  async function expectTokens(server: Server): Promise<void> {
    const renewals = await Promise.all(people.map(({ bearer }) => all.renew(server, bearer)));
    expect(renewals.map(({ token }) => token)).toEqual(people.map(({ token }) => token));
  }
});

interface Status {
  readonly keys: readonly { readonly kid: string; readonly state: string }[];
  readonly servers: readonly unknown[];
}

const containing = (text: string): string => expect.stringContaining(text) as string;
const withPid = (name: string): string => expect.stringContaining(`(${name})`) as string;

/** How a server is called beside its host. */
function nameOf({ run }: Server): string {
  return `pid ${run?.process.pid}`;
}

/** The command line and the environment of a process. */
function procOf(pid = 0): string {
  return ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8')).join('\n');
}

/** A key in base64url, base64 and hexadecimal, as far as they are the same at any offset. */
function formsOf(entry: string): string[] {
  const encoded = entry.split(':')[1] ?? '';
  const bytes = Buffer.from(encoded, 'base64url');
  return [encoded, bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')];
}
