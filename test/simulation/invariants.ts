import type { FreshAccessToken } from '../../src/token-set.js';
import { isFinal, type Request, type Row, type Simulation } from './simulation.js';

/** A request that was given a token. */
type Served = Request & { readonly result: FreshAccessToken };

/** What a run broke, in words; empty when it broke nothing. */
export async function findViolations(simulation: Simulation): Promise<string[]> {
  const { history, provider, plan } = simulation;
  const row = await simulation.row();
  const { calls } = provider;
  const served = history.requests.filter((request): request is Served => !(request.result instanceof Error));
  const links = history.links.filter(({ kind }) => kind === 'link').length;
  const peace = await simulation.askInPeace();
  const after = await simulation.row();
  return [
    // Without faults the generation counts the refreshes that were needed.
    ...check('I1', plan.faulty || calls === (row?.generation ?? 0) - 1, 'more calls than expiries'),
    ...check(
      'I1',
      plan.faulty || served.length === history.requests.length,
      'a request failed without a fault',
    ),
    ...check(
      'I2',
      calls <= 1 + links + provider.faults + history.disturbances,
      'more calls than expiries and faults',
    ),
    ...check(
      'I2',
      provider.reuses <= provider.lostAnswers,
      'a refresh token was replayed that nobody had lost',
    ),
    ...check(
      'I3',
      served.every(({ result }) => result.accessToken.startsWith('access-of-ada-')),
      "another's token",
    ),
    ...check(
      'I4',
      !served.some((later) => served.some((earlier) => wentBack(simulation, earlier, later))),
      'an older token',
    ),
    ...check('I5', !served.some((request) => wasUnlinked(simulation, request)), 'a token after unlink'),
    ...check('I6', (after?.leaseMs ?? 0) <= 0, 'a lease outlived its time'),
    ...checkSurvival(simulation, row, peace),
  ];
}

function check(name: string, holds: boolean, otherwise: string): string[] {
  return holds ? [] : [`${name}: ${otherwise}`];
}

/** I4: after one answer, a later request is given a token that ends earlier; a link in between may do that. */
function wentBack({ history }: Simulation, earlier: Served, later: Served): boolean {
  if (later.begun <= earlier.done) return false;
  if (history.links.some(({ begun }) => begun >= earlier.begun && begun <= later.done)) return false;
  return later.result.accessTokenExpiresAt < earlier.result.accessTokenExpiresAt;
}

/** I5: it began after an acknowledged unlink and ended before the next link. */
function wasUnlinked({ history }: Simulation, request: Request): boolean {
  return history.links.some((entry, index) => {
    const next = history.links[index + 1];
    return entry.kind === 'unlink' && request.begun > entry.done && (!next || request.done < next.begun);
  });
}

/**
 * I7: an acknowledged link survives. A provider that does not rotate always gives a token in the end; one that
 * rotates does unless its newest refresh token was lost on the wire or with a process.
 */
function checkSurvival(
  { history, plan, provider }: Simulation,
  row: Row | undefined,
  peace: FreshAccessToken | Error,
): string[] {
  const gaveToken = !(peace instanceof Error);
  if (history.links.at(-1)?.kind === 'unlink') {
    return check('I7', row === undefined && isFinal(peace), 'an unlinked account came back');
  }
  if (!row) return ['I7: a link is gone'];
  if (!plan.rotates) return check('I7', gaveToken, `no token in peace: ${String(peace)}`);
  const grant = provider.grantOf(row.refreshToken);
  if (grant.alive && !grant.answerLost)
    return check('I7', gaveToken, `a live grant was given up: ${String(peace)}`);
  return check('I7', gaveToken || isFinal(peace), `neither a token nor an end: ${String(peace)}`);
}
