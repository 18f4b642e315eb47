import { RenewAccessTokenDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

describe('/metrics', () => {
  const world = useWorld();

  test('counts refreshes by outcome, their duration and back-offs, without identities', async () => {
    const { accountId, token } = await world.linkPerson();
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
    for (const secret of [token, world.people[0].sub, accountId, world.config.rollup.clientSecret]) {
      expect(text).not.toContain(secret);
    }
  });
});
