import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { knownError } from '../../src/dev/rollup-id/provider-errors.js';
import { LinkRollupAccountDocument, MeDocument, StartRollupLinkDocument } from '../generated/graphql.js';
import { useServers } from '../kit/hooks.js';
import { codesOf, linkPeople, renewConcurrently, serverAt } from '../kit/renewals.js';

describe('whose fault it is', () => {
  const all = useServers(2, {
    env: { JWKS_MAX_AGE_SECONDS: '1', JWKS_COOLDOWN_SECONDS: '0', JWKS_STALE_SECONDS: '3600' },
  });
  const refresh = () => all.rollup.switches.faults.refresh;

  describe('an answer in hand', () => {
    /** The provider signs with a new key, and gives a new refresh token for the one that was used. */
    const rotateEverything = async (person: Person): Promise<void> => {
      await all.rollup.rotateKeys();
      refresh().standing = {
        transform: async (response) => ({
          ...response,
          refresh_token: await all.rollup.mint('refresh', person),
        }),
      };
    };

    test('VLT-114 that cannot be verified while the key set is away is kept, and used when it is back', async () => {
      const person = createPerson();
      const { accountId, bearer, sub } = await all.linkExpired(person);
      const before = await all.row(accountId);
      all.rollup.switches.faults.jwks.standing = { status: 503 };
      await rotateEverything(person);
      expect(codesOf(await renewConcurrently(all, bearer, 20))).toEqual(['PROVIDER_UNAVAILABLE']);
      const kept = await all.row(accountId);
      expect(kept).toMatchObject({ status: 'ACTIVE', lease_id: null, failure_count: 1, generation: 1 });
      expect(kept['pending_response']).toMatch(/^eyJ/);
      expect(kept['refresh_token']).toBe(before['refresh_token']);

      await all.elapse(accountId, 'retry_at');
      expect(codesOf(await renewConcurrently(all, bearer, 20))).toEqual(['PROVIDER_UNAVAILABLE']);
      expect(await all.row(accountId)).toMatchObject({
        pending_response: kept['pending_response'],
        failure_count: 2,
      });

      all.rollup.switches.faults.jwks.standing = undefined;
      await all.elapse(accountId, 'retry_at');
      const renewals = await renewConcurrently(all, bearer, 20);
      expect(codesOf(renewals)).toEqual([undefined]);
      expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
      const after = await all.row(accountId);
      expect(after).toMatchObject({ pending_response: null, failure_count: 0, generation: 2 });
      expect(after['refresh_token']).not.toBe(before['refresh_token']);
      const { data } = await all.server.ask(MeDocument, {}, { token: renewals[0]?.token ?? '' });
      expect(data.me?.rollupAccounts).toMatchObject([{ sub, status: 'ACTIVE' }]);
    });

    test('VLT-115 about another subject ends the link after one call, and the user attaches the new one', async () => {
      const [person, merged] = [createPerson(), createPerson()];
      all.rollup.people.push(merged);
      const { accountId, bearer, sub } = await all.linkExpired(person);
      refresh().standing = {
        transform: async (response) => ({
          ...response,
          access_token: await all.rollup.mint('access', merged),
        }),
      };
      expect(codesOf(await renewConcurrently(all, bearer, 20))).toEqual(['REAUTHENTICATION_REQUIRED']);
      expect(codesOf(await renewConcurrently(all, bearer, 20))).toEqual(['REAUTHENTICATION_REQUIRED']);
      expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
      expect(await all.row(accountId)).toMatchObject({ status: 'REAUTHENTICATION_REQUIRED', generation: 2 });
      const logs = all.servers.map((server) => server.output()).join('');
      expect(logs).toContain(`"event":"subject_changed","accountId":"${accountId}"`);
      refresh().standing = undefined;

      const before = (await all.server.ask(MeDocument, {}, { token: bearer })).data.me;
      const [redirectUri = ''] = all.rollup.redirectUris;
      const input = { redirectUri, scopes: ['openid'] };
      const begun = await all.server.ask(StartRollupLinkDocument, { input }, { token: bearer });
      const { authorizationUrl, linkToken } = begun.data.startRollupLink;
      const url = await all.rollup.approve(authorizationUrl ?? '', { person: merged });
      const callback = { url, linkToken: linkToken ?? '' };
      const linked = await all.server.ask(
        LinkRollupAccountDocument,
        { input: { callback } },
        { token: bearer },
      );
      expect(linked.data.linkRollupAccount).toMatchObject({
        userErrors: [],
        user: { id: before?.id },
        account: { sub: merged.sub, status: 'ACTIVE' },
      });
    });
  });

  describe('VLT-77 a refresh token that is said to be of another client', () => {
    const mismatch = knownError('BAD_REQUEST', 'mismatch client id');

    test('is the fault of one account: it backs off alone, and nobody else is shut out', async () => {
      const [bad, ...good] = await linkPeople(all, 6);
      if (!bad) throw new Error('nobody was linked');
      for (let round = 0; round < 5; round += 1) {
        await Promise.all([bad, ...good].map(({ accountId }) => all.expire(accountId)));
        refresh().queue.push(mismatch);
        expect(await all.renew(all.server, bad.bearer)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
        expect(codesOf(await renewConcurrently(all, bad.bearer, 4))).toEqual(['PROVIDER_UNAVAILABLE']);
        expect(await all.row(bad.accountId)).toMatchObject({ status: 'ACTIVE', failure_count: round + 1 });
        const others = good.map(({ bearer }, index) => all.renew(serverAt(all, index), bearer));
        expect(codesOf(await Promise.all(others))).toEqual([undefined]);
        await all.elapse(bad.accountId, 'retry_at');
      }
      expect(all.rollup.calls.refreshesOf(bad.sub)).toBe(5);
    });

    test('is our fault when several accounts are told so: the circuit opens, and no row is put off any more', async () => {
      const people = await linkPeople(all, 6);
      await Promise.all(people.map(({ accountId }) => all.expire(accountId)));
      refresh().standing = mismatch;
      const codes: unknown[] = [];
      for (const { bearer } of people) codes.push((await all.renew(all.server, bearer)).code);
      expect(codes).toEqual([
        'PROVIDER_UNAVAILABLE',
        'PROVIDER_UNAVAILABLE',
        'PROVIDER_MISCONFIGURED',
        'PROVIDER_MISCONFIGURED',
        'PROVIDER_MISCONFIGURED',
        'PROVIDER_MISCONFIGURED',
      ]);
      expect(all.rollup.calls.refresh).toBe(3);
      const failures = await Promise.all(
        people.map(async ({ accountId }) => (await all.row(accountId))['failure_count']),
      );
      expect(failures).toEqual([1, 1, 0, 0, 0, 0]);
    });
  });
});
