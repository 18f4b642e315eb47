import { leanFetch } from '../../src/fetch.js';
import { connect } from 'node:net';
import { LinkRollupAccountDocument, MeDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

const APP = 'https://app.example.com';
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`;

/** The headers of each request to the provider and to Galaxy. */
const outgoing: Headers[] = [];
const world = useWorld({
  env: { CORS_ORIGINS: APP },
  fetch: (url, init) => {
    outgoing.push(new Headers(init.headers));
    return leanFetch(url, init);
  },
});

const ask = (headers: Record<string, string> | Headers, body: unknown = { query: '{ me { id } }' }) =>
  fetch(`${world.app.url}/graphql`, {
    method: 'POST',
    headers: new Headers([...new Headers(headers), ['content-type', 'application/json']]),
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

/** The line of the only request. */
async function requestLine(): Promise<Record<string, unknown>> {
  const lines = await world.requestsLogged();
  expect(lines).toHaveLength(1);
  return lines[0] ?? {};
}

/** Sends these bytes unchanged; resolves with the whole response when the server has closed the connection. */
async function sendRaw(bytes: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(world.app.url).port) });
  socket.write(bytes, 'latin1');
  return Buffer.concat((await socket.toArray()) as Buffer[]).toString('latin1');
}
const idIn = (response: string) => /^x-request-id: (.*)\r$/im.exec(response)?.[1];

describe('the id of a request', () => {
  test('HTP-27 is taken over from X-Request-Id, given back, and part of every line of the request', async () => {
    const { token } = await world.linkPerson();
    await world.requestsLogged(2);
    world.logLines.length = 0;
    const { headers } = await world.ask(
      MeDocument,
      {},
      { token, headers: { 'x-request-id': 'Front.end_1-2' } },
    );
    expect(headers.get('x-request-id')).toBe('Front.end_1-2');
    await requestLine();
    const ids = world.records().map(({ reqId }) => reqId);
    expect(ids.length).toBeGreaterThan(1);
    expect(new Set(ids)).toEqual(new Set(['Front.end_1-2']));
  });

  test.each([1, 128])('HTP-27 may have %i characters', async (length) => {
    const id = 'x'.repeat(length);
    expect((await ask({ 'x-request-id': id })).headers.get('x-request-id')).toBe(id);
  });

  test.each<[string, string]>([
    ['129 characters', 'x'.repeat(129)],
    ['white space', 'two words'],
    ['JSON and a control sequence', '{"level":"fatal"}\u009b31m"}'],
    ['markup', '<b>id</b>'],
    ['what looks like a signed token', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln'],
    ['what looks like a secret of 256 bits', 'k'.repeat(43)],
    ['two ids in one header', 'first,second'],
  ])('HTP-23 with %s is replaced by a UUID, and stands nowhere in the log', async (_what, id) => {
    const given = (await ask({ 'x-request-id': id })).headers.get('x-request-id');
    expect(given).toMatch(UUID);
    expect((await requestLine())['reqId']).toBe(given);
    expect(world.logLines.join('')).not.toContain(id);
  });

  test.each([
    ['in two headers', 'X-Request-Id: first\r\nX-Request-Id: second\r\n'],
    ['in an empty header', 'X-Request-Id:\r\n'],
    ['in no header', ''],
  ])('HTP-23 %s is replaced by a UUID', async (_what, header) => {
    const response = await sendRaw(`GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${header}\r\n`);
    expect(idIn(response)).toMatch(UUID);
    expect((await requestLine())['reqId']).toBe(idIn(response));
  });

  test.each<[string, string, RequestInit, number]>([
    ['a rejected bearer', '/graphql', { headers: { authorization: 'Bearer x' } }, 401],
    ['a body of no JSON type', '/graphql', { method: 'POST', body: '{' }, 400],
    ['an unknown path', '/nowhere', {}, 404],
    ['a wrong method', '/graphql', { method: 'DELETE' }, 405],
    ['a probe', '/readyz', {}, 200],
    [
      'a preflight',
      '/graphql',
      { method: 'OPTIONS', headers: { origin: APP, 'access-control-request-method': 'POST' } },
      204,
    ],
  ])('HTP-27 is given back to %s', async (_what, path, init, status) => {
    const headers = new Headers([...new Headers(init.headers), ['x-request-id', 'mine']]);
    const response = await fetch(`${world.app.url}${path}`, { ...init, headers });
    expect([response.status, response.headers.get('x-request-id')]).toEqual([status, 'mine']);
    expect((await requestLine())['reqId']).toBe('mine');
  });

  const more = `Host: x\r\nX-Request-Id: mine\r\nTraceparent: ${TRACEPARENT}\r\n`;
  test.each([
    ['a path that cannot be decoded', `GET /%zz HTTP/1.1\r\n${more}\r\n`],
    ['an expectation', `GET / HTTP/1.1\r\n${more}Expect: a-miracle\r\n\r\n`],
    ['a tunnel', `CONNECT a:1 HTTP/1.1\r\n${more}\r\n`],
  ])('HTP-27 is given back to %s', async (_what, bytes) => {
    expect(idIn(await sendRaw(bytes))).toBe('mine');
    expect(await requestLine()).toMatchObject({ reqId: 'mine', trace_id: TRACE, span_id: SPAN });
  });

  test('HTP-27 is a UUID for what is no HTTP', async () => {
    const response = await sendRaw('hello\r\n\r\n');
    expect(idIn(response)).toMatch(UUID);
    expect((await requestLine())['reqId']).toBe(idIn(response));
  });

  test('HTP-15 can be sent and read, and traces sent, by pages of an allowed origin', async () => {
    const headers = { origin: APP, 'access-control-request-method': 'POST' };
    const preflight = await fetch(`${world.app.url}/graphql`, { method: 'OPTIONS', headers });
    const allowed = preflight.headers.get('access-control-allow-headers')?.toLowerCase().split(/, ?/);
    expect(allowed).toEqual(expect.arrayContaining(['x-request-id', 'traceparent', 'tracestate']));
    const response = await ask({ origin: APP });
    expect(response.headers.get('access-control-expose-headers')).toMatch(/x-request-id/i);
  });
});

describe('the trace of a request', () => {
  const traceOf = ({ trace_id, span_id }: Record<string, unknown>) => [trace_id, span_id];

  test('HTP-27 is taken over from traceparent, and part of every line of the request', async () => {
    const { token } = await world.linkPerson();
    await world.requestsLogged(2);
    world.logLines.length = 0;
    await world.ask(MeDocument, {}, { token, headers: { traceparent: TRACEPARENT } });
    await requestLine();
    expect(world.records().length).toBeGreaterThan(1);
    for (const record of world.records()) expect(traceOf(record)).toEqual([TRACE, SPAN]);
  });

  test.each([
    ['of a trace that is not sampled', `00-${TRACE}-${SPAN}-00`],
    ['of a later version', `01-${TRACE}-${SPAN}-01`],
    ['of a later version with more parts', `cc-${TRACE}-${SPAN}-01-what-the-future-brings`],
  ])('HTP-27 is taken over from a traceparent %s', async (_what, traceparent) => {
    await ask({ traceparent });
    expect(traceOf(await requestLine())).toEqual([TRACE, SPAN]);
  });

  test.each([
    ['the forbidden version', `ff-${TRACE}-${SPAN}-01`],
    ['an empty trace id', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['an empty parent id', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['capitals', TRACEPARENT.toUpperCase()],
    ['more parts than version 00 has', `${TRACEPARENT}-more`],
    ['a later version that goes on without a dash', `01-${TRACE}-${SPAN}-01.more`],
    ['no flags', `00-${TRACE}-${SPAN}`],
    ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['a long parent id', `00-${TRACE}-${SPAN}0-01`],
    ['something before it', `x${TRACEPARENT}`],
    ['two values', `${TRACEPARENT}, ${TRACEPARENT}`],
  ])('HTP-23 a traceparent with %s stands nowhere in the log', async (_what, traceparent) => {
    expect((await ask({ traceparent })).status).toBe(200);
    expect(traceOf(await requestLine())).toEqual([undefined, undefined]);
    expect(world.logLines.join('')).not.toContain(SPAN);
  });

  test('neither it nor the id is told to the provider', async () => {
    const { input } = await world.approve();
    outgoing.length = 0;
    const headers = { 'x-request-id': 'mine', traceparent: TRACEPARENT, tracestate: 'a=b', baggage: 'a=b' };
    await world.ask(LinkRollupAccountDocument, { input }, { headers });
    expect(outgoing.length).toBeGreaterThan(0);
    const told = outgoing.flatMap((sent) => Object.keys(headers).filter((name) => sent.has(name)));
    expect(told).toEqual([]);
  });
});

describe('the line of a request', () => {
  test.each<[string, unknown, string | undefined, string[] | undefined]>([
    ['a named query', { query: 'query Mine { me { id } }' }, 'Mine', undefined],
    [
      'the chosen one of several operations',
      { query: 'query A { me { id } } query B { me { id } }', operationName: 'B' },
      'B',
      undefined,
    ],
    ['an anonymous query', { query: '{ me { id } }' }, 'query', undefined],
    [
      'an anonymous mutation',
      { query: 'mutation { unlinkRollupAccount(input: { accountId: "x" }) { userErrors { code } } }' },
      'mutation',
      ['UNAUTHENTICATED'],
    ],
    ['a long name', { query: `query ${'N'.repeat(200)} { me { id } }` }, 'N'.repeat(64), undefined],
    ['an error', { query: 'query Scopes { consentedScopes { name } }' }, 'Scopes', ['UNAUTHENTICATED']],
    [
      'one code for several errors',
      { query: '{ nothing nobody }' },
      undefined,
      ['GRAPHQL_VALIDATION_FAILED'],
    ],
    ['a document that does not parse', { query: 'query Mine {' }, undefined, ['GRAPHQL_PARSE_FAILED']],
    [
      'a document that is not valid',
      { query: 'query Mine { nothing }' },
      undefined,
      ['GRAPHQL_VALIDATION_FAILED'],
    ],
    [
      'an operation that does not exist',
      { query: 'query Mine { me { id } }', operationName: 'Yours' },
      undefined,
      ['OPERATION_RESOLUTION_FAILURE'],
    ],
    ['a batch', [{ query: '{ me { id } }' }], undefined, ['BAD_REQUEST']],
    ['a body without a document', {}, undefined, ['BAD_REQUEST']],
    ['a body that is no JSON', '{', undefined, ['BAD_REQUEST']],
  ])('HTP-27 names the operation and the error codes: %s', async (_what, body, operation, codes) => {
    await ask({}, body);
    const line = await requestLine();
    expect([line['operation'], line['codes']]).toEqual([operation, codes]);
  });

  test('HTP-27 has the code of a rejected bearer and of an unknown path', async () => {
    await ask({ authorization: 'Bearer x' });
    expect((await requestLine())['codes']).toEqual(['UNAUTHENTICATED']);
    world.logLines.length = 0;
    await fetch(`${world.app.url}/nowhere`);
    expect((await requestLine())['codes']).toEqual(['BAD_REQUEST']);
  });

  test('has neither document nor variables', async () => {
    await ask(
      {},
      { query: 'query Mine($id: ID) { hidden: me { id } } # hidden', variables: { id: 'hidden' } },
    );
    await requestLine();
    expect(world.logLines.join('')).not.toContain('hidden');
  });
});
