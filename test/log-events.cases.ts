import type { Person } from '../src/dev/rollup-id/people.js';
import { RenewAccessTokenDocument, UnlinkRollupAccountDocument } from './generated/graphql.js';
import { useWorld } from './kit/hooks.js';

type Fields = Record<string, unknown>;

describe('the log', () => {
  const world = useWorld({ env: { TRUST_PROXY: '127.0.0.1' } });
  let mira: Person;
  let tomas: Person;
  beforeAll(() => void ([mira, tomas] = world.people));

  const PSEUDONYM = /^[\da-f]{16}$/;
  const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
  const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

  /** Links, and clears the log records of the link. */
  async function linked(person: Person, token?: string) {
    const linked = await world.linkPerson(person, { token });
    await world.requestsLogged(2);
    world.logLines.length = 0;
    return linked;
  }
  const renew = async (token: string) => world.ask(RenewAccessTokenDocument, { input: {} }, { token });

  /** Expects exactly one record with these fields, with time, level and request id, and no personal data in any record. */
  async function expectRecord(expected: Fields): Promise<Fields> {
    await world.requestsLogged();
    const matching = world
      .records()
      .filter((record) =>
        Object.entries(expected).every(
          ([name, value]) => JSON.stringify(record[name]) === JSON.stringify(value),
        ),
      );
    expect(matching).toHaveLength(1);
    const [record = {}] = matching;
    expect(record).toMatchObject({
      time: expect.stringMatching(TIME),
      reqId: expect.stringMatching(UUID),
      level: expect.stringMatching(/^(info|warn|error)$/),
    });
    const requests = world.records().filter(({ msg }) => msg === 'request');
    expect(requests.map(({ reqId }) => reqId)).toContain(record['reqId']);
    for (const { sub, name = 'Mira', email = '@example.com' } of [mira, tomas]) {
      for (const personal of [sub, name, email]) expect(world.logLines.join('')).not.toContain(personal);
    }
    return record;
  }

  test('HTP-27 an authenticated request logs the caller as a stable pseudonym', async () => {
    const { token } = await linked(mira);
    const who: unknown[] = [];
    for (const bearer of [
      token,
      await world.rollup.mint('access', mira),
      await world.rollup.mint('access', tomas),
    ]) {
      world.logLines.length = 0;
      await world.ask('{ me { id } }', {}, { token: bearer });
      who.push((await expectRecord({ msg: 'request', status: 200 }))['who']);
    }
    expect(who).toEqual([expect.stringMatching(PSEUDONYM), who[0], expect.stringMatching(PSEUDONYM)]);
    expect(who[2]).not.toBe(who[0]);
  });

  test('HTP-27 a rejected bearer logs the reason, and no part of the token', async () => {
    const token = await world.rollup.mint('access', mira, { claims: { aud: ['other'] } });
    await world.ask('{ me { id } }', {}, { token });
    const rejected = await expectRecord({ msg: 'bearer', event: 'bearer_refused' });
    expect(rejected['reason']).toMatch(/\w/);
    expect(await expectRecord({ msg: 'request', status: 401 })).toMatchObject({ reqId: rejected['reqId'] });
    for (const part of token.split('.')) expect(world.logLines.join('')).not.toContain(part);
  });

  test('HTP-27 a record has no fields of earlier records of its request', async () => {
    await world.ask('{ me { id } }', {}, { token: 'x' });
    const { level: _level, time: _time, ...rest } = await expectRecord({ msg: 'request', status: 401 });
    const names = ['codes', 'method', 'ms', 'msg', 'path', 'reqId', 'status'];
    expect(Object.keys(rest).toSorted()).toEqual(names);
  });

  test('HTP-27 a link logs the identity, and the user when the caller is signed in', async () => {
    const { token } = await linked(mira);
    await world.link(tomas, { token });
    const record = await expectRecord({ msg: 'link', event: 'linked' });
    expect(record).toMatchObject({
      who: expect.stringMatching(PSEUDONYM),
      accountId: expect.stringMatching(UUID),
    });
    expect(record['subject']).toMatch(PSEUDONYM);
    expect(record['subject']).not.toBe(record['who']);
  });

  test('HTP-27 an unlink logs the identity and the caller', async () => {
    const { token, accountId } = await linked(mira);
    await world.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
    const { who, subject } = await expectRecord({ msg: 'link', event: 'unlinked', accountId });
    expect([who, subject]).toEqual([expect.stringMatching(PSEUDONYM), who]);
  });

  test('HTP-27 a conflict logs the caller', async () => {
    await linked(tomas);
    const { token } = await linked(mira);
    await world.link(tomas, { token });
    expect(await expectRecord({ msg: 'link failed' })).toMatchObject({
      who: expect.stringMatching(PSEUDONYM),
      err: { code: 'LINKED_TO_ANOTHER_USER' },
    });
  });

  test.each<[string, Fields, string]>([
    ['grant_dead', { status: 401, body: { message: 'expired token' } }, 'info'],
    ['failed', { status: 503 }, 'warn'],
    ['misconfigured', { status: 400, body: { message: 'invalid client credentials' } }, 'error'],
  ])('HTP-27 a refresh that ends as %s logs the account', async (event, fault, level) => {
    const { accountId } = await linked(mira);
    world.clock.advance(3_600_000);
    world.rollup.switches.faults.refresh.standing = fault;
    await renew(await world.rollup.mint('access', mira));
    const record = await expectRecord({ msg: 'refresh', event, accountId });
    expect(record).toMatchObject({ level, who: expect.stringMatching(PSEUDONYM) });
  });

  test('HTP-27 a stored token that does not open logs the account', async () => {
    const { accountId } = await linked(mira);
    world.clock.advance(3_600_000);
    await world.em().execute(`update sealed_tokens set refresh_token = access_token`);
    await renew(await world.rollup.mint('access', mira));
    const record = await expectRecord({ msg: 'refresh', event: 'seal_broken', accountId });
    expect(record).toMatchObject({ level: 'error', who: expect.stringMatching(PSEUDONYM) });
  });

  const ME = '{"query":"{ me { id } }"}';
  const INJECTION = '\r\n{"level":"fatal","msg":"forged"}\u001b[31m\u0000\u2028"}';
  const inUrl = encodeURIComponent(INJECTION);
  const post = (body: string, headers: Record<string, string> = {}) =>
    fetch(`${world.app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
  const ask = (body: object) => post(JSON.stringify(body));
  const complete = (query: string) =>
    ask({
      query:
        'mutation ($i: LinkRollupAccountInput!) { linkRollupAccount(input: $i) { userErrors { code } } }',
      variables: { i: { callback: { url: `https://a.example/?${query}`, linkToken: INJECTION } } },
    });
  test.each<[string, () => Promise<unknown>]>([
    ['the path', () => fetch(`${world.app.url}/${inUrl}`)],
    ['the query string', () => fetch(`${world.app.url}/graphql?query=${inUrl}`)],
    ['the user agent', () => post(ME, { 'user-agent': '{"level":"fatal"}\u009b31m"}' })],
    ['a forwarded address', () => post(ME, { 'x-forwarded-for': '{"level":"fatal"}\u009b31m"}' })],
    ['the key id of a bearer', async () => post(ME, { authorization: `Bearer ${await injectedBearer()}` })],
    ['the operation name', () => ask({ query: 'query A { me { id } }', operationName: INJECTION })],
    ['the document', () => ask({ query: `{ me { id } } ${INJECTION}` })],
    [
      'a variable',
      () => ask({ query: 'query ($a: ID!) { me { id } }', variables: { a: [INJECTION], [INJECTION]: 1 } }),
    ],
    ['error_description', () => complete(`state=x&error=${inUrl}&error_description=${inUrl}`)],
    ["the provider's error", rejectedByProvider],
  ])('HTP-23 a log injection by %s leaves well-formed records of one line each', async (_what, act) => {
    world.logLines.length = 0;
    await act();
    await world.requestsLogged();
    for (const line of world.logLines) {
      // A control character in the line would be one that the log did not escape.
      expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Zl}]/u);
      const record = JSON.parse(line) as Record<string, unknown>;
      expect(record).toMatchObject({ time: expect.any(String), msg: expect.not.stringMatching('forged') });
      expect(record['level']).not.toBe('fatal');
    }
  });

  test('HTP-23 no record has two fields with the same name', async () => {
    world.logLines.length = 0;
    await post(ME);
    await world.requestsLogged();
    for (const line of world.logLines) {
      const names = [...line.matchAll(/(?<=[{,]")\w+(?=":)/g)].map(([name]) => name);
      expect(names).toEqual([...new Set(names)]);
    }
  });

  const injectedBearer = () => world.rollup.mint('access', mira, { header: { kid: INJECTION } });
  async function rejectedByProvider(): Promise<void> {
    world.rollup.switches.faults.exchange.standing = {
      status: 401,
      body: { error: INJECTION, message: INJECTION },
    };
    await world.link();
  }
});
