import { createPerson } from '../../../src/dev/rollup-id/people.js';
import { newCode, postToken, type Reply } from './client.js';
import { foreignKey } from '../../kit/forged-token.js';
import { useRollupId } from '../../kit/hooks.js';

interface Outline {
  readonly status: number;
  readonly message: unknown;
  readonly fields: readonly string[];
  readonly headers: readonly string[];
}

/** The constant parts of an error, with the names of the relevant headers. */
function outline({ status, headers, body }: Reply): Outline {
  const relevant = ['x-remix-catch', 'cache-control', 'pragma', 'www-authenticate'];
  return {
    status,
    message: body['message'],
    fields: Object.keys(body).toSorted(),
    headers: relevant.filter((name) => headers.has(name)),
  };
}

function errorWith(...fields: string[]): (status: number, message: string) => Outline {
  return (status, message) => ({ status, message, fields, headers: ['x-remix-catch'] });
}

const known = errorWith('code', 'message', 'name', 'traceparent');
const internal = errorWith('data', 'message', 'meta', 'name', 'shape', 'traceparent');
const bare = errorWith('message', 'traceparent');
const ada = createPerson({ name: 'Ada', email: 'ada@example.com' });

describe('an error of the token endpoint', () => {
  let now = Date.parse('2024-03-01T12:00:00Z');
  const rollup = useRollupId({ now: () => now, people: [ada] });

  test('reports wrong client credentials', async () => {
    const code = await newCode(rollup);
    const wrong = [{ client_secret: 'no' }, { client_id: 'f'.repeat(32) }];
    for (const fields of wrong) {
      const reply = await postToken(rollup, { code, ...fields });
      expect(outline(reply)).toEqual(known(400, 'invalid client credentials'));
      expect(reply.body).toMatchObject({ code: 'BAD_REQUEST', name: 'RollupError' });
      expect(reply.body['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
      expect(reply.headers.get('x-remix-catch')).toBe('yes');
    }
  });

  test('is data error when a field is missing', async () => {
    const code = await newCode(rollup);
    const incomplete = [{ code, client_id: undefined }, { code, client_secret: undefined }, {}];
    for (const fields of incomplete) {
      expect(outline(await postToken(rollup, fields))).toEqual(bare(500, 'data error'));
    }
  });

  test('reports an unknown code as an internal failure, or as intended', async () => {
    const observed = await postToken(rollup, { code: '0xunknown' });
    expect(outline(observed)).toEqual(internal(500, 'expired code'));
    const data = { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500, path: 'authorization.exchangeToken' };
    expect(observed.body).toMatchObject({
      name: 'TRPCClientError',
      shape: { message: 'expired code', code: -32603, data },
      data,
    });
    rollup.switches.expiredCodeStatus = 401;
    expect(outline(await postToken(rollup, { code: '0xunknown' }))).toEqual(known(401, 'expired code'));
  });

  test("reports another client's code as an internal failure, or as intended", async () => {
    const code = await newCode(rollup, { codeClientId: 'f'.repeat(32) });
    expect(outline(await postToken(rollup, { code }))).toEqual(internal(500, 'mismatch client id'));
    rollup.switches.expiredCodeStatus = 401;
    expect(outline(await postToken(rollup, { code }))).toEqual(known(400, 'mismatch client id'));
  });

  test('reports data behind a scope that is missing at the exchange', async () => {
    const person = createPerson({ email: 'gone@example.com' });
    rollup.people.push(person);
    const code = await newCode(rollup, { person });
    delete person.email;
    const message = 'Authorized data error. Re-authorization by user required';
    expect(outline(await postToken(rollup, { code }))).toEqual(known(401, message));
  });

  test('is an internal failure for a refresh token that is no JWT', async () => {
    const refresh = async (token: string): Promise<Reply> => postToken(rollup, { refresh_token: token });
    expect(outline(await refresh('garbage'))).toEqual(internal(500, 'Invalid JWT'));
    expect(outline(await refresh('a.b.c'))).toEqual(
      internal(500, 'Failed to parse the decoded payload as JSON'),
    );
  });

  test('reports a refresh token of another client and one without a subject', async () => {
    const foreign = await rollup.mint('refresh', ada, { claims: { aud: ['f'.repeat(32)] } });
    expect(outline(await postToken(rollup, { refresh_token: foreign }))).toEqual(
      known(400, 'mismatch client id'),
    );
    const nameless = await rollup.mint('refresh', ada, { claims: { sub: undefined } });
    expect(outline(await postToken(rollup, { refresh_token: nameless }))).toEqual(
      known(400, 'missing subject'),
    );
  });

  test('reports a bad signature, an unknown kid, an unsigned token and an invalid claim', async () => {
    const key = await foreignKey();
    const forged = await rollup.mint('refresh', ada, { key });
    const unknown = await rollup.mint('refresh', ada, { header: { kid: '1' } });
    const unsigned = await rollup.mint('refresh', ada, { header: { alg: 'none' } });
    for (const refresh_token of [forged, unknown, unsigned]) {
      expect(outline(await postToken(rollup, { refresh_token }))).toEqual(
        known(401, 'token verification failed'),
      );
    }
    const broken = await rollup.mint('refresh', ada, { claims: { exp: 'soon' } });
    const reply = await postToken(rollup, { refresh_token: broken });
    expect(outline(reply)).toEqual(known(401, 'token claim validation failed'));
  });

  test('is none for an unexpired access token used as a refresh token', async () => {
    const refresh_token = await rollup.mint('access', ada);
    expect((await postToken(rollup, { refresh_token })).status).toBe(200);
    now += 3_600_000;
    expect(outline(await postToken(rollup, { refresh_token }))).toEqual(known(401, 'expired token'));
  });

  test('is an internal failure for an ID token used as a refresh token', async () => {
    const refresh_token = await rollup.mint('id', ada);
    const message = "Cannot read properties of undefined (reading 'split')";
    expect(outline(await postToken(rollup, { refresh_token }))).toEqual(internal(500, message));
  });

  test('is plain text for GET', async () => {
    const response = await fetch(`${rollup.url}/token`);
    expect([response.status, await response.text()]).toEqual([500, 'Unexpected Server Error']);
    expect(rollup.calls.exchange).toBe(0);
  });
});
