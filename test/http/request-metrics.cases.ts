import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { createGate } from '../../src/dev/instruments/faults.js';
import { createOperationRecord } from '../../src/graphql/operation-record.js';
import { createRequestMetrics } from '../../src/http/request-metrics.js';
import { createMetrics } from '../../src/metrics.js';
import { useWorld } from '../kit/hooks.js';

const DURATION = 'rollup_accounts_http_request_duration_seconds_count';
const OPERATIONS = 'rollup_accounts_graphql_operation_duration_seconds_count';
const ERRORS = 'rollup_accounts_graphql_errors_total';
const MAX_NAMES = 100;

describe('/metrics', () => {
  const world = useWorld();

  const scrape = async (): Promise<string> => (await fetch(`${world.app.url}/metrics`)).text();
  const ask = (query: string) => world.ask(query, {});

  /** How much the series grow while `act` sends this many requests. */
  async function growth(
    series: readonly string[],
    act: () => Promise<unknown>,
    requests = 1,
  ): Promise<number[]> {
    const before = await scrape();
    await world.requestsLogged();
    world.logLines.length = 0;
    await act();
    await world.requestsLogged(requests);
    const after = await scrape();
    return series.map((name) => valueOf(after, name) - valueOf(before, name));
  }

  test('counts requests by method, route and status', async () => {
    const route = `${DURATION}{method="POST",route="/graphql",status="200"}`;
    expect(await growth([route], () => ask('{ me { id } }'))).toEqual([1]);
    const rejected = `${DURATION}{method="POST",route="/graphql",status="400"}`;
    expect(await growth([rejected, route], () => ask('{'))).toEqual([1, 0]);
  });

  test('counts unknown paths as one route and unknown methods as one method', async () => {
    const path = (name: string, method: string) => () => fetch(`${world.app.url}/${name}`, { method });
    const get = `${DURATION}{method="GET",route="other",status="404"}`;
    const other = `${DURATION}{method="other",route="other",status="404"}`;
    for (const name of ['a', 'b', 'c?d=e']) expect(await growth([get], path(name, 'GET'))).toEqual([1]);
    for (const method of ['DELETE', 'PROPFIND']) {
      expect(await growth([other], path('a', method))).toEqual([1]);
    }
    expect(await scrape()).not.toMatch(/PROPFIND|DELETE|d=e/);
  });

  test('knows how many requests are being served', async () => {
    const gate = createGate();
    world.rollup.switches.faults.exchange.queue.push(gate.fault);
    const link = world.link();
    await gate.arrived;
    expect(await scrape()).toContain('\nrollup_accounts_http_requests_in_flight 2\n');
    gate.release();
    await link;
    await world.requestsLogged(3);
    expect(await scrape()).toContain('\nrollup_accounts_http_requests_in_flight 1\n');
  });

  test('counts operations by type, name and outcome', async () => {
    const series = [
      `${OPERATIONS}{type="query",name="Mine",outcome="success"}`,
      `${OPERATIONS}{type="query",name="Mine",outcome="error"}`,
      `${OPERATIONS}{type="query",name="anonymous",outcome="success"}`,
      `${OPERATIONS}{type="mutation",name="anonymous",outcome="error"}`,
    ];
    const several = async () => {
      await ask('query Mine { me { id } }');
      await ask('query Mine { consentedScopes { name } }');
      await ask('{ me { id } }');
      await ask('mutation { unlinkRollupAccount(input: { accountId: "x" }) { userErrors { code } } }');
    };
    expect(await growth(series, several, 4)).toEqual([1, 1, 1, 1]);
  });

  test('counts no operation for a document that is not valid, only its error', async () => {
    const invalid = `${ERRORS}{code="GRAPHQL_VALIDATION_FAILED"}`;
    expect(await growth([invalid], () => ask('query Wrong { nothing }'))).toEqual([1]);
    expect(await scrape()).not.toContain('Wrong');
  });

  test('counts an error code once for each response, also before GraphQL', async () => {
    const invalid = `${ERRORS}{code="GRAPHQL_VALIDATION_FAILED"}`;
    expect(await growth([invalid], () => ask('{ nothing nobody }'))).toEqual([1]);
    const rejected = `${ERRORS}{code="UNAUTHENTICATED"}`;
    expect(await growth([rejected], () => world.ask('{ me { id } }', {}, { token: 'x' }))).toEqual([1]);
  });

  test('has each error code from the beginning, so that the first error is an increase', async () => {
    expect(await scrape()).toContain(`\n${ERRORS}{code="PERSISTED_QUERY_NOT_FOUND"} 0\n`);
  });

  test('has the metrics of this application that the documentation lists, and no others', async () => {
    const names = [...(await scrape()).matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
    const documented = documentedMetrics().map((metric) => metric.replace(/\{.*/, ''));
    expect(names.toSorted()).toEqual(documented.toSorted());
  });
});

describe('/metrics of a server whose clients make up names', () => {
  // Not the world of the other tests, where later names would count as others.
  const world = useWorld({ env: { TRUST_PROXY: '127.0.0.1' } });

  test('keeps the names of operations few', async () => {
    await Promise.all(
      Array.from({ length: MAX_NAMES + 20 }, (_, index) => world.ask(`query N${index} { me { id } }`)),
    );
    await world.requestsLogged(MAX_NAMES + 20);
    const text = await (await fetch(`${world.app.url}/metrics`)).text();
    expect([...namesIn(text)].filter((name) => /^N\d+$/.test(name)).length).toBeLessThanOrEqual(MAX_NAMES);
    const others = valueOf(text, `${OPERATIONS}{type="query",name="other",outcome="success"}`);
    expect(others).toBeGreaterThanOrEqual(20);
  });
});

describe('the metrics of requests', () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `N${index}`);

  test('of 10 000 names keep 100, and count the rest together', async () => {
    const text = await countNames(names, false);
    expect(namesIn(text).size).toBe(MAX_NAMES + 1);
    expect(valueOf(text, `${OPERATIONS}{type="query",name="other",outcome="success"}`)).toBe(9_900);
  });

  test('keep every name of trusted documents', async () => {
    expect(namesIn(await countNames(names.slice(0, 500), true)).size).toBe(500);
  });

  test('keep no name of more than 64 characters', async () => {
    const text = await countNames(['a'.repeat(64), 'b'.repeat(65)], false);
    expect(namesIn(text)).toEqual(new Set(['a'.repeat(64), 'other']));
  });

  async function countNames(clientNames: readonly string[], trustedNames: boolean): Promise<string> {
    const registry = new Registry();
    const count = createRequestMetrics(registry, { inFlight: () => 0, trustedNames });
    for (const name of clientNames) {
      const operation = { ...createOperationRecord(), startedAt: performance.now(), type: 'query', name };
      count({ method: 'POST', route: '/graphql', status: 200, seconds: 0.001, operation });
    }
    return registry.metrics();
  }
});

test('the documentation lists the labels of each metric', () => {
  const metrics = createMetrics();
  const { registry } = metrics;
  metrics.watch({ waiting: () => 0, circuitOpen: () => false }, { aheadMs: () => 0 });
  createRequestMetrics(registry, { inFlight: () => 0, trustedNames: false });
  const declared = registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[] }[];
  const described = declared.map(({ name, labelNames }) =>
    labelNames.length === 0 ? name : `${name}{${labelNames.join(',')}}`,
  );
  expect(documentedMetrics().toSorted()).toEqual(described.toSorted());
});

/** The metrics in the table of the documentation, as `name{label,label}`. */
function documentedMetrics(): string[] {
  const text = readFileSync('docs/operating.md', 'utf8');
  return [...text.matchAll(/^\| `(rollup_accounts_[^`]*)`/gm)].map(([, metric = '']) => metric);
}

function valueOf(text: string, series: string): number {
  const line = text.split('\n').find((line) => line.startsWith(`${series} `));
  return Number(line?.slice(series.length) ?? 0);
}

function namesIn(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/_operation_duration_seconds_count\{[^}]*name="(.*?)"/g)].map(([, name = '']) => name),
  );
}
