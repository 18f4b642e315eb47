import type { Person } from '../src/dev/rollup-id/people.js';
import {
  LinkRollupAccountDocument,
  RenewAccessTokenDocument,
  UnlinkRollupAccountDocument,
} from './generated/graphql.js';
import { useWorld } from './kit/hooks.js';

const UNKNOWN_ID = '5b0ed2a4-8a6e-4b5e-9a37-1f5b3a2c9d10';
const CONNECTED = '{ me { rollupAccounts { connectedAccounts { type } } } }';

describe('the log of what a user or a client did', () => {
  const world = useWorld();
  let mira: Person;
  let tomas: Person;
  beforeAll(() => void ([mira, tomas] = world.people));

  const begin = async () => world.start(['openid']);
  const takeOver = async (accessToken: string, idToken: string) =>
    world.ask(LinkRollupAccountDocument, { input: { tokens: { accessToken, idToken } } });
  const linked = async (scopes?: readonly string[]) => world.linkPerson(mira, scopes && { scopes });

  /** The records until the response, which do not include that of the request itself. */
  async function recordsOf(act: () => Promise<unknown>) {
    const before = world.logLines.length;
    await act();
    const records = world.records().slice(before);
    return records.filter(({ level, msg }) => msg !== 'request' && level !== 'trace');
  }

  test.each<[string, () => Promise<unknown>]>([
    [
      'ACCESS_DENIED',
      async () => {
        const begun = await begin();
        await world.finish(begun, await world.rollup.cancel(begun.authorizationUrl ?? ''));
      },
    ],
    [
      'LINK_NOT_FOUND',
      async () => {
        const { begun, url } = await world.approve(mira, { scopes: ['openid'] });
        await world.em().execute('update pending_link set expires_at = clock_timestamp()');
        await world.finish(begun, url);
      },
    ],
    [
      'CODE_REJECTED',
      async () => {
        const { begun, url } = await world.approve(mira, { scopes: ['openid'] });
        await world.finish(begun, url.replace(/code=\w+/, 'code=0x1'));
      },
    ],
    ['TOKEN_INVALID', () => takeOver('opaque', 'opaque')],
    [
      'SUBJECT_MISMATCH',
      async () => takeOver(await world.rollup.mint('access', mira), await world.rollup.mint('id', tomas)),
    ],
    ['SCOPE_NOT_ALLOWED', () => world.start(['all'])],
  ])('a link that ends as %s is one line at the level info, without a stack', async (code, act) => {
    const records = await recordsOf(act);
    expect(records).toMatchObject([{ level: 'info', msg: 'link failed', err: { code } }]);
    expect(JSON.stringify(records)).not.toMatch(/stack|\.ts:\d|\.js:\d/);
  });

  test('a link of an identity that belongs to another user is one line without a stack', async () => {
    await world.linkPerson(tomas);
    const { token } = await linked();
    const records = await recordsOf(async () => world.link(tomas, { token }));
    expect(records).toMatchObject([{ level: 'info', err: { code: 'LINKED_TO_ANOTHER_USER' } }]);
    expect(JSON.stringify(records)).not.toContain('stack');
  });

  test('a consent that the user revoked is found by a call to userinfo: one line without a stack', async () => {
    const { token, accountId } = await linked(['openid', 'connected_accounts']);
    world.rollup.revoke(mira);
    const records = await recordsOf(async () => world.ask(CONNECTED, {}, { token }));
    expect(records[0]).toMatchObject({
      level: 'info',
      msg: 'userinfo',
      accountId,
      err: { code: 'GRANT_DEAD' },
    });
    expect(JSON.stringify(records)).not.toContain('stack');
  });

  test('a refused bearer is one line with its reason, without a stack', async () => {
    const records = await recordsOf(async () => world.ask('{ me { id } }', {}, { token: 'opaque' }));
    expect(records).toMatchObject([{ level: 'info', event: 'bearer_refused', reason: 'malformed' }]);
    expect(JSON.stringify(records)).not.toContain('stack');
  });

  test.each<[string, () => Promise<unknown>]>([
    ['a query without a bearer', () => world.ask('{ consentedScopes { name } }')],
    [
      'a scope that is missing',
      async () => world.ask(CONNECTED, {}, { token: (await linked(['openid'])).token }),
    ],
    [
      'an identity that is not linked',
      async () =>
        world.ask(
          RenewAccessTokenDocument,
          { input: {} },
          { token: await world.rollup.mint('access', tomas) },
        ),
    ],
    [
      'a number out of its range',
      async () =>
        world.ask(
          RenewAccessTokenDocument,
          { input: { minTtlSeconds: -1 } },
          { token: (await linked()).token },
        ),
    ],
    [
      'an account that does not exist',
      async () =>
        world.ask(
          UnlinkRollupAccountDocument,
          { input: { accountId: UNKNOWN_ID } },
          { token: (await linked()).token },
        ),
    ],
    ['a document that is malformed', () => world.ask('{ me { ')],
    ['a document that is invalid', () => world.ask('{ nobody }')],
    ['a path that does not exist', () => fetch(`${world.app.url}/nowhere`)],
  ])('%s is in the response, and no line of its own', async (_what, act) => {
    const records = await recordsOf(act);
    expect(records.filter(({ event }) => event !== 'linked')).toEqual([]);
  });

  test.each([
    ['PROVIDER_UNAVAILABLE', 'warn', { status: 500 }],
    ['PROVIDER_MISCONFIGURED', 'error', { status: 400, body: { message: 'invalid client credentials' } }],
  ])('a link that ends as %s keeps its stack: an operator has to look', async (code, level, fault) => {
    const { input } = await world.approve(mira, { scopes: ['openid'] });
    world.rollup.switches.faults.exchange.standing = fault;
    const records = await recordsOf(async () => world.ask(LinkRollupAccountDocument, { input }));
    expect(records).toMatchObject([{ level, err: { code, stack: expect.stringContaining(' at ') } }]);
  });
});
