import { type AuditResult, serverAudits } from 'graphql-http';
import { useWorld } from '../kit/hooks.js';

const AUDITS = 61;
const MUST_AUDITS = 13;

describe('the audits of GraphQL over HTTP', () => {
  /** Jest needs the names of the audits before the server runs, so the URL is computed late. */
  const audits = serverAudits({ url: () => world.app.url + '/graphql', fetchFn: fetchWithPreflight });
  const bareAudits = serverAudits({ url: () => world.app.url + '/graphql' }).filter(({ name }) =>
    name.startsWith('MUST'),
  );

  const world = useWorld();

  test('GQL-01 there are 61 audits, 13 of which are at the level MUST', () => {
    expect([audits.length, bareAudits.length]).toEqual([AUDITS, MUST_AUDITS]);
  });

  test.each(audits)('GQL-01 $id with the preflight header: $name', async ({ fn }) => {
    await expectOk(fn());
  });

  test.each(bareAudits)('GQL-01 $id without it: $name', async ({ fn }) => {
    await expectOk(fn());
  });

  async function expectOk(running: Promise<AuditResult>): Promise<void> {
    const result = await running;
    const reason = result.status === 'ok' ? undefined : result.reason;
    expect({ status: result.status, reason }).toEqual({ status: 'ok', reason: undefined });
  }

  /** Adds the header by which a frontend shows that its GET is no simple cross-site request. */
  function fetchWithPreflight(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('apollo-require-preflight', 'true');
    return fetch(url, { ...init, headers });
  }
});
