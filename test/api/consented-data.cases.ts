import { readFile } from 'node:fs/promises';
import { createGate } from '../../src/dev/instruments/faults.js';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { ConsentedDataDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

const ALL = ['openid', 'profile', 'email', 'connected_accounts', 'erc_4337'];
const REVOKED = 'Authorized data error. Re-authorization by user required';

describe('the data that consent unlocks', () => {
  const world = useWorld();
  let mira: Person;
  beforeEach(async () => {
    world.clock.advance(600_000); // longer than the back-off after a failure
    [mira] = world.people;
  });

  test('is the profile, the public accounts and the authorized applications of Galaxy', async () => {
    const account = await read(await linked(mira));
    expect(account?.profile).toEqual({
      displayName: 'mira.eth',
      pfp: { image: mira.picture, isToken: true },
    });
    expect(account?.publicAccounts).toEqual([
      { type: 'ETH', rawType: 'eth', identifier: mira.publicAccounts[0]?.identifier },
      { type: 'GITHUB', rawType: 'github', identifier: 'mira-okafor' },
      { type: 'TWITTER', rawType: 'twitter', identifier: 'miraokafor' },
    ]);
    expect(account?.authorizedApps).toEqual([
      {
        clientId: world.rollup.clientId,
        title: 'Example application',
        icon: expect.stringMatching(/^data:/) as string,
        authorizedAt: expect.stringMatching(/^\d{4}-/) as string,
      },
    ]);
    expect(account?.galaxyFreshness).toMatchObject({ ageSeconds: 0, stale: false });
  });

  test('is the connected accounts and the wallets of userinfo', async () => {
    const account = await read(await linked(mira));
    const shown = mira.connectedAccounts.filter(({ type }) => type !== 'smart_contract_wallet');
    expect(account?.connectedAccounts).toEqual(
      shown.map(({ type, identifier }) => ({ type: type.toUpperCase(), rawType: type, identifier })),
    );
    expect(account?.smartContractWallets).toEqual(mira.wallets);
  });

  test('an ordinary picture is no token, and a person without data gets empty values', async () => {
    const plain = createPerson({ name: 'Ada', picture: 'data:,a' });
    world.rollup.people.push(plain);
    expect((await read(await linked(plain)))?.profile).toEqual({
      displayName: 'Ada',
      pfp: { image: 'data:,a', isToken: false },
    });
    const empty = createPerson({ email: 'nobody@example.com' });
    world.rollup.people.push(empty);
    expect(await read(await linked(empty))).toMatchObject({
      profile: { displayName: null, pfp: null },
      publicAccounts: [],
      connectedAccounts: [],
      smartContractWallets: [],
    });
  });

  test('wallets in the other format are read too, without a nickname', async () => {
    world.rollup.switches.walletShape = 'identifier';
    const account = await read(await linked(mira));
    expect(account?.smartContractWallets).toEqual(
      mira.wallets.map(({ address }) => ({ nickname: null, address })),
    );
  });

  test('unknown types become OTHER with their own name, and missing keys become null', async () => {
    const { token } = await linked(mira);
    world.rollup.switches.faults.userinfo.queue.push({
      transform: ({ sub }) => ({
        sub,
        connected_accounts: [
          { type: 'mastodon', identifier: '@mira' },
          { type: 'mask', identifier: 'x@mask.example' },
          { identifier: 'only' },
          { type: 'github' },
          'neither',
          null,
        ],
      }),
    });
    const account = await read({ token });
    expect(account?.connectedAccounts).toEqual([
      { type: 'OTHER', rawType: 'mastodon', identifier: '@mira' },
      { type: 'MASK', rawType: 'mask', identifier: 'x@mask.example' },
      { type: 'OTHER', rawType: null, identifier: 'only' },
      { type: 'GITHUB', rawType: 'github', identifier: null },
    ]);
    expect(account?.smartContractWallets).toEqual([]);
  });

  test('costs one call to Galaxy and one to userinfo per account, however many fields are selected', async () => {
    const { token } = await linked(mira);
    for (const person of world.rollup.people.slice(1, 3)) {
      person.email ??= 'somebody@example.com';
      expect((await world.link(person, { token, scopes: ALL })).userErrors).toEqual([]);
    }
    world.rollup.calls.reset();
    const { data, errors } = await world.ask(ConsentedDataDocument, {}, { token });
    expect(errors).toEqual([]);
    expect(data.me?.rollupAccounts.map(({ profile }) => profile?.displayName)).toEqual([
      'mira.eth',
      'Tomás Lindqvist',
      null,
    ]);
    expect(world.rollup.calls).toMatchObject({ galaxy: 3, userinfo: 3, refresh: 0 });
  });

  test('of more accounts than the budget of Galaxy is fetched over several requests, accounts without data first', async () => {
    const { token } = await linked(mira);
    for (let index = 0; index < 11; index += 1) {
      const person = createPerson({ displayName: `Person ${index}`, email: 'somebody@example.com' });
      world.rollup.people.push(person);
      await world.link(person, { token, scopes: ALL });
    }
    world.rollup.calls.reset();
    const first = await names();
    expect([first.length, first.filter(Boolean).length]).toEqual([12, 10]);
    world.clock.advance(61_000);
    await world.em().execute(`update galaxy_slot set taken_at = taken_at - interval '61 seconds'`);
    // Accounts without any response are fetched before accounts with a stale one.
    expect((await names()).filter(Boolean)).toHaveLength(12);
    expect(world.rollup.calls).toMatchObject({
      galaxy: expect.any(Number) as number,
      userinfo: 24,
      refresh: 0,
    });
    expect(world.rollup.calls.galaxy).toBeLessThanOrEqual(20);

    async function names(): Promise<(string | undefined)[]> {
      const { data, codes } = await world.ask(ConsentedDataDocument, {}, { token });
      expect(codes.filter((code) => code !== 'RATE_LIMITED')).toEqual([]);
      return (data.me?.rollupAccounts ?? []).map(({ profile }) => profile?.displayName ?? undefined);
    }
  });

  test('can be queried with the example of the docs', async () => {
    const docs = await readFile('docs/galaxy.md', 'utf8');
    const scopes = JSON.parse(/`scopes: (\[.*?\])`/.exec(docs)?.[1] ?? '') as string[];
    const query = /```graphql\n(.*?)```/s.exec(docs)?.[1] ?? '';
    const { accessToken } = await world.link(mira, { scopes });
    const { data, errors } = await world.ask<{ me: { rollupAccounts: object[] } }, never>(query, undefined, {
      token: accessToken ?? '',
    });
    expect(errors).toEqual([]);
    expect(Object.values(data.me.rollupAccounts[0] ?? {}).filter((value) => value === null)).toEqual([]);
  });

  test('is fetched with a fresh access token of the account, refreshed once for both sources', async () => {
    const { token } = await linked(mira);
    world.clock.advance(3_590_000);
    const bearer = await world.rollup.mint('access', mira, { scopes: ALL });
    const account = await read({ token: bearer });
    expect(token).not.toBe(bearer);
    expect(account?.profile?.displayName).toBe('mira.eth');
    expect(account?.smartContractWallets).toHaveLength(2);
    expect(world.rollup.calls.refresh).toBe(1);
  });

  test("the server's Galaxy key is in no response and in no log line", async () => {
    const { token } = await linked(mira);
    world.rollup.switches.faults.galaxy.queue.push({ status: 400, body: world.rollup.galaxyKey });
    const { text } = await world.ask(ConsentedDataDocument, {}, { token });
    expect(`${text}${world.logLines.join('')}`).not.toContain(world.rollup.galaxyKey);
    expect(text).toContain('PROVIDER_MISCONFIGURED');
  });

  describe('a grant that the user revoked', () => {
    test('is detected at userinfo: the status asks for a new link, and no further calls are made', async () => {
      const { token } = await linked(mira);
      world.rollup.revoke(mira);
      const { data, errors } = await world.ask(ConsentedDataDocument, {}, { token });
      const account = data.me?.rollupAccounts[0];
      expect(account).toMatchObject({ connectedAccounts: null, smartContractWallets: null });
      expect(account?.profile?.displayName).toBe('mira.eth');
      expect(
        errors.map(({ path, extensions }) => `${path?.at(-1)} ${String(extensions['code'])}`).toSorted(),
      ).toEqual([
        'connectedAccounts REAUTHENTICATION_REQUIRED',
        'smartContractWallets REAUTHENTICATION_REQUIRED',
      ]);
      expect(await status(token)).toBe('REAUTHENTICATION_REQUIRED');
      world.rollup.calls.reset();
      const again = await world.ask(ConsentedDataDocument, {}, { token });
      expect(new Set(again.codes)).toEqual(new Set(['REAUTHENTICATION_REQUIRED']));
      expect(world.rollup.calls).toMatchObject({ userinfo: 0, galaxy: 0, refresh: 0 });
      await linked(mira);
      expect(await status(token)).toBe('ACTIVE');
      expect((await read({ token }))?.smartContractWallets).toHaveLength(2);
    });

    test('is not inferred from any other error', async () => {
      const { token } = await linked(mira);
      const otherErrors = [
        { status: 401, body: { message: 'expired token', code: 'UNAUTHORIZED' } },
        { status: 401, body: { message: 'token verification failed' } },
        { status: 401, body: 'no' },
        { status: 403, body: { message: REVOKED } },
        { status: 500, body: { message: REVOKED } },
        { status: 503 },
        { body: { sub: 'urn:rollupid:identity/0x1', connected_accounts: [] } },
        { body: '<html>' },
        { reset: 'before-headers' as const },
      ];
      for (const fault of otherErrors) {
        world.rollup.switches.faults.userinfo.queue.push(fault);
        const { data, codes } = await world.ask(ConsentedDataDocument, {}, { token });
        expect(codes).toEqual(Array(2).fill('PROVIDER_UNAVAILABLE'));
        expect(data.me?.rollupAccounts[0]?.profile?.displayName).toBe('mira.eth');
        expect(await status(token)).toBe('ACTIVE');
      }
      expect((await read({ token }))?.smartContractWallets).toHaveLength(2);
    });

    test('does not end a link that was replaced meanwhile: its new tokens are used', async () => {
      const { token } = await linked(mira);
      const gate = createGate();
      world.rollup.switches.faults.userinfo.queue.push({
        ...gate.fault,
        status: 401,
        body: { message: REVOKED },
      });
      const pending = world.ask(ConsentedDataDocument, {}, { token });
      await gate.arrived;
      await linked(mira);
      gate.release();
      const { data, errors } = await pending;
      expect(errors).toEqual([]);
      expect(data.me?.rollupAccounts[0]?.smartContractWallets).toHaveLength(2);
      expect(await status(token)).toBe('ACTIVE');
    });
  });

  async function linked(person: Person): Promise<{ token: string }> {
    const { accessToken, userErrors } = await world.link(person, { scopes: ALL });
    expect(userErrors).toEqual([]);
    return { token: accessToken ?? '' };
  }

  async function read({ token }: { token: string }) {
    const { data, errors } = await world.ask(ConsentedDataDocument, {}, { token });
    expect(errors).toEqual([]);
    return data.me?.rollupAccounts[0];
  }

  async function status(token: string): Promise<unknown> {
    interface Status {
      me: { rollupAccounts: { status: string }[] };
    }
    const { data } = await world.ask<Status, never>('{ me { rollupAccounts { status } } }', undefined, {
      token,
    });
    return data.me.rollupAccounts[0]?.status;
  }
});
