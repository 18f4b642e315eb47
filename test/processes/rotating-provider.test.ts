import {
  LinkRollupAccountDocument,
  StartRollupLinkDocument,
  type StartRollupLinkInput,
} from '../generated/graphql.js';
import { type Renewal, type Server, startServers } from '../kit/servers.js';
import { useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { type StandardProvider, startStandardProvider } from '../kit/standard-provider.js';

const REDIRECT_URI = 'https://app.example/callback';
const CALLERS = 50;
const people = Array.from({ length: 8 }, (_, index) => ({ sub: `urn:standard:${index}` }));

describe('with a provider that rotates refresh tokens and revokes the grant on reuse', () => {
  let standard: StandardProvider;
  const world = useStarted(async (closeToo) => {
    standard = closeToo(await startStandardProvider({ people, redirectUris: [REDIRECT_URI] }));
    return startServers(4, {
      provider: () => standard,
      env: { REFRESH_LEASE_SECONDS: '20', ROLLUP_TIMEOUT_MS: '19000' },
    });
  });
  let turn = -1;
  let sub: string;
  let bearer: string;
  let accountId: string;
  /** Refresh calls before the test's own. */
  let callsBefore: number;

  beforeEach(async () => {
    sub = people[(turn += 1)]?.sub ?? '';
    standard.fault = undefined;
    standard.calls.reuse = 0;
    await link();
    // From the first response the servers learn that the provider rotates.
    await world.expire(accountId);
    await world.renew(world.server, bearer);
    await world.expire(accountId);
    callsBefore = standard.calls.refresh;
  });

  async function link(): Promise<void> {
    const begin: StartRollupLinkInput = { redirectUri: REDIRECT_URI, scopes: ['openid', 'profile', 'email'] };
    const begun = (await world.server.ask(StartRollupLinkDocument, { input: begin })).data.startRollupLink;
    const url = await standard.approve(begun.authorizationUrl ?? '', { sub });
    const callback = { url, linkToken: begun.linkToken ?? '' };
    const { data } = await world.server.ask(LinkRollupAccountDocument, { input: { callback } });
    expect(data.linkRollupAccount.userErrors).toEqual([]);
    bearer = data.linkRollupAccount.accessToken ?? '';
    accountId = data.linkRollupAccount.account?.id ?? '';
  }

  /** The distinct results of many concurrent callers, spread over the servers. */
  async function renewEverywhere(
    servers: readonly Server[] = world.servers.slice(0, 4),
  ): Promise<Partial<Renewal>[]> {
    const callers = Array.from({ length: CALLERS }, (_, index) => servers[index % servers.length] as Server);
    const renewals = await Promise.all(callers.map((server) => world.renew(server, bearer)));
    const different = new Map(renewals.map(({ token, code }) => [String([token, code]), { token, code }]));
    return [...different.values()];
  }
  const spent = (): object => ({
    calls: standard.calls.refresh - callsBefore,
    reuse: standard.calls.reuse,
  });
  const theSameToken = [{ token: expect.any(String), code: undefined }];
  const relinkNeeded = [{ token: undefined, code: 'REAUTHENTICATION_REQUIRED' }];

  test('five expiries cost five calls, all callers get the same token, no refresh token is used twice', async () => {
    const seen = new Set<string | undefined>();
    for (let round = 1; round <= 5; round += 1) {
      await world.expire(accountId);
      const responses = await renewEverywhere();
      expect(responses).toEqual(theSameToken);
      seen.add(responses[0]?.token);
      expect(spent()).toEqual({ calls: round, reuse: 0 });
    }
    expect(seen.size).toBe(5);
    expect(await world.row(accountId)).toMatchObject({ refresh_token_rotates: true, generation: 7 });
  });

  test('a response that is cut off fails once, and the one further call returns the error of the provider', async () => {
    standard.fault = (_kind, moment) => {
      if (moment === 'before') return undefined;
      standard.fault = undefined;
      return 'cut';
    };
    expect(await renewEverywhere()).toEqual([{ token: undefined, code: 'PROVIDER_UNAVAILABLE' }]);
    expect(await renewEverywhere()).toEqual([{ token: undefined, code: 'PROVIDER_UNAVAILABLE' }]);
    expect(spent()).toEqual({ calls: 1, reuse: 0 });
    const failed = `"event":"failed","accountId":"${accountId}"`;
    expect(world.servers.flatMap((server) => server.output().split(failed).slice(1))).toHaveLength(1);

    await world.elapse(accountId, 'retry_at');
    for (let round = 0; round < 3; round += 1) expect(await renewEverywhere()).toEqual(relinkNeeded);
    expect(spent()).toEqual({ calls: 2, reuse: 1 });
    await expectNewLinkToWork();
  });

  async function expectNewLinkToWork(): Promise<void> {
    await link();
    await world.expire(accountId);
    callsBefore = standard.calls.refresh;
    standard.calls.reuse = 0;
    expect(await renewEverywhere()).toEqual(theSameToken);
    expect(spent()).toEqual({ calls: 1, reuse: 0 });
    expect(await world.row(accountId)).toMatchObject({ status: 'ACTIVE', lease_id: null });
  }

  onPostgres('a faulty lease holder', () => {
    let holder: Server;
    let release: () => void;

    /** Lets the holder call, and the provider do its work but hold the response back. */
    async function startCall(env: Record<string, string> = {}): Promise<{ late: Promise<Partial<Renewal>> }> {
      holder = await world.add(env);
      const [done, held] = [Promise.withResolvers<void>(), Promise.withResolvers<undefined>()];
      release = () => held.resolve(undefined);
      standard.fault = (_kind, moment) => {
        if (moment === 'before') return undefined;
        done.resolve();
        return held.promise;
      };
      const late = world.renew(holder, bearer).catch(() => ({ code: 'connection lost' }));
      await done.promise;
      standard.fault = undefined;
      return { late };
    }

    test('frozen before its response: no process reuses the refresh token, and its response restores the account', async () => {
      const { late } = await startCall();
      holder.run?.process.kill('SIGSTOP');
      release();
      await world.elapse(accountId, 'lease_expires_at');
      for (let round = 0; round < 3; round += 1) expect(await renewEverywhere()).toEqual(relinkNeeded);
      expect(spent()).toEqual({ calls: 1, reuse: 0 });

      holder.run?.process.kill('SIGCONT');
      const { token } = await late;
      expect(await world.row(accountId)).toMatchObject({ status: 'ACTIVE', generation: 3, lease_id: null });
      expect(await renewEverywhere()).toEqual([{ token, code: undefined }]);
      expect(spent()).toEqual({ calls: 1, reuse: 0 });
      await world.expire(accountId);
      expect(await renewEverywhere()).toEqual(theSameToken);
      expect(spent()).toEqual({ calls: 2, reuse: 0 });
    });

    test('frozen beyond its own deadline: the response is lost, no process calls again, a new link works', async () => {
      const { late } = await startCall({ REFRESH_LEASE_SECONDS: '2', ROLLUP_TIMEOUT_MS: '1000' });
      holder.run?.process.kill('SIGSTOP');
      await world.elapse(accountId, 'lease_expires_at');
      expect(await renewEverywhere()).toEqual(relinkNeeded);
      holder.run?.process.kill('SIGCONT');
      expect(await late).toMatchObject({ code: 'REAUTHENTICATION_REQUIRED' });
      release();
      for (let round = 0; round < 3; round += 1) expect(await renewEverywhere()).toEqual(relinkNeeded);
      expect(spent()).toEqual({ calls: 1, reuse: 0 });
      await expectNewLinkToWork();
    });

    test('killed before its response: no process calls again, a new link works', async () => {
      const { late } = await startCall();
      await holder.stop('SIGKILL');
      release();
      expect(await late).toEqual({ code: 'connection lost' });
      await world.elapse(accountId, 'lease_expires_at');
      for (let round = 0; round < 3; round += 1) expect(await renewEverywhere()).toEqual(relinkNeeded);
      expect(spent()).toEqual({ calls: 1, reuse: 0 });
      expect(await world.row(accountId)).toMatchObject({ status: 'REAUTHENTICATION_REQUIRED' });
      await expectNewLinkToWork();
    });
  });
});
