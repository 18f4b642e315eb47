import { RenewAccessTokenDocument } from '../generated/graphql.js';
import { startWorld, type World } from '../kit/world.js';

describe('/metrics', () => {
  let world: World;
  beforeAll(async () => (world = await startWorld()));
  afterAll(() => world.close());

  test('counts refreshes by outcome, their duration and back-offs, without identities', async () => {
    const [person] = world.rollup.people;
    if (!person) throw new Error('the provider has no people');
    const { accessToken, account } = await world.link(person);
    const token = accessToken ?? '';
    world.clock.advance(3_560_000);
    world.rollup.switches.faults.refresh.queue.push({ status: 500 });
    await world.ask(RenewAccessTokenDocument, { input: {} }, { token });
    await world.em().execute('update sealed_tokens set retry_at = null');
    await world.ask(RenewAccessTokenDocument, { input: {} }, { token });
    const response = await fetch(`${world.app.url}/metrics`);
    const text = await response.text();
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of [
      'rollup_accounts_refreshes_total{outcome="refreshed"} 1',
      'rollup_accounts_refreshes_total{outcome="failed"} 1',
      'rollup_accounts_refreshes_total{outcome="grant_dead"} 0',
      'rollup_accounts_refresh_duration_seconds_count{outcome="refreshed"} 1',
      'rollup_accounts_refresh_backoffs_total 1',
      'rollup_accounts_lease_takeovers_total 0',
      'rollup_accounts_refresh_waiters 0',
      'rollup_accounts_circuit_open 0',
    ]) {
      expect(text).toContain(line);
    }
    for (const secret of [token, person.sub, account?.id ?? 'an id', world.config.rollup.clientSecret]) {
      expect(text).not.toContain(secret);
    }
  });
});
