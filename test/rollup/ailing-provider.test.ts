import type { Fault, FaultPoint } from '../../src/dev/instruments/faults.js';
import { MeDocument, RenewAccessTokenDocument, StartRollupLinkDocument } from '../generated/graphql.js';
import { useRollupId, useWorld } from '../kit/hooks.js';
import { startWorld } from '../kit/world.js';

describe('a provider that sends garbage', () => {
  const rollup = useRollupId();
  const message = { message: 'maintenance' };

  test.each<[string, FaultPoint, Fault]>([
    ['discovery is a message', 'discovery', { body: message }],
    ['discovery is HTML', 'discovery', { body: '<html>', headers: { 'content-type': 'text/html' } }],
    ['discovery is a list', 'discovery', { body: [] }],
    ['discovery lacks its issuer', 'discovery', { transform: (own) => ({ ...own, issuer: undefined }) }],
    ['discovery lacks an endpoint', 'discovery', { transform: (own) => ({ ...own, token_endpoint: 7 }) }],
    ['the keys are a message', 'jwks', { body: message }],
    ['the keys are text', 'jwks', { body: { keys: 'x' } }],
    ['the keys are no objects', 'jwks', { body: { keys: [null, 'x', []] } }],
  ])('VLT-80 when %s the server starts, is not ready, and heals by itself', async (_title, point, fault) => {
    rollup.switches.faults[point].standing = fault;
    const world = await startWorld({ provider: rollup });
    try {
      const token = await rollup.mint('access', world.people[0]);
      const bearer = async () => {
        const { status, codes } = await world.ask(MeDocument, {}, { token });
        return [status, ...codes];
      };
      const ready = async () => (await fetch(`${world.app.url}/readyz`)).status;
      expect([await ready(), ...(await bearer())]).toEqual([503, 503, 'PROVIDER_UNAVAILABLE']);
      expect(world.logLines.join('')).toContain('the issuer is not reachable yet');
      rollup.switches.faults[point].standing = undefined;
      expect([await ready(), ...(await bearer())]).toEqual([200, 200]);
    } finally {
      await world.close();
    }
  });

  describe('while servers run', () => {
    const world = useWorld({ env: { JWKS_STALE_SECONDS: '0' } });

    const startLink = async () => {
      const input = { redirectUri: world.config.rollup.redirectUris[0] ?? '', scopes: ['openid'] };
      return (await world.ask(StartRollupLinkDocument, { input })).data.startRollupLink.userErrors;
    };

    test.each<FaultPoint>(['discovery', 'jwks'])('VLT-80 instead of its %s is an outage', async (point) => {
      const { token } = await world.linkPerson();
      world.clock.advance(world.config.provider.lifetimes.maxAgeMs + 1_000);
      world.rollup.switches.faults[point].standing = { body: message };
      expect((await world.ask(MeDocument, {}, { token })).codes).toEqual(['PROVIDER_UNAVAILABLE']);
      world.rollup.switches.faults[point].standing = undefined;
      expect((await world.ask(MeDocument, {}, { token })).errors).toEqual([]);
    });

    test('VLT-80 instead of its discovery begins no link, and the next attempt does', async () => {
      world.clock.advance(world.config.provider.lifetimes.maxAgeMs + 1_000);
      world.rollup.switches.faults.discovery.queue.push({ body: message });
      expect(await startLink()).toMatchObject([{ code: 'PROVIDER_UNAVAILABLE' }]);
      expect(await startLink()).toEqual([]);
    });
  });
});

describe('a response of the provider', () => {
  const world = useWorld();
  const everywhere = (fault: Fault): void => {
    world.clock.advance(world.config.provider.lifetimes.maxAgeMs + 1_000);
    for (const point of ['discovery', 'jwks', 'token', 'userinfo'] as const) {
      world.rollup.switches.faults[point].standing = fault;
    }
  };

  test.each<[string, Fault]>([
    ['with status 201', { successStatus: 201 }],
    ['with status 299', { successStatus: 299 }],
    ['that begins with a byte order mark', { byteOrderMark: true }],
  ])('VLT-82 %s is a success: of discovery, keys, codes, userinfo and refreshes', async (_title, fault) => {
    everywhere(fault);
    const { token } = await world.linkPerson(world.people[0]);
    expect(await world.rows('app_user')).toMatchObject([{ email: 'mira@example.com' }]);
    world.clock.advance(3_000_000);
    const renewal = { input: { minTtlSeconds: 1_800 } };
    const { data } = await world.ask(RenewAccessTokenDocument, renewal, { token });
    expect(data.renewAccessToken.accessToken).not.toBe(token);
    const { discovery, jwks, exchange, userinfo, refresh } = world.rollup.calls;
    expect([discovery, jwks, exchange, userinfo, refresh].every((calls) => calls > 0)).toBe(true);
  });

  test('VLT-82 with status 204 is none, since it says nothing', async () => {
    world.rollup.switches.faults.exchange.standing = { status: 204 };
    const { userErrors } = await world.link(world.people[0]);
    expect(userErrors).toMatchObject([{ code: 'PROVIDER_UNAVAILABLE' }]);
  });
});
