import type { FreshAccessToken } from '../../src/token-set.js';
import { isFinal, PERSON, type Request, type Row, type Simulation } from './simulation.js';

/** A request that got a token. */
type Served = Request & { readonly result: FreshAccessToken };

/** The invariants that a run violated; empty when all hold. */
export async function findViolations(simulation: Simulation): Promise<string[]> {
  const { history, provider, plan } = simulation;
  const row = await simulation.row();
  const { calls } = provider;
  const served = history.requests.filter((request): request is Served => !(request.result instanceof Error));
  const links = history.links.filter(({ kind }) => kind === 'link').length;
  const last = await simulation.requestWithoutFaults();
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
      provider.reuses <= provider.lostResponses,
      'a refresh token was reused although no response was lost',
    ),
    ...check(
      'I3',
      served.every(({ result }) => result.accessToken.startsWith('access-of-ada-')),
      'a token of another identity',
    ),
    ...check(
      'I4',
      !served.some((later) => served.some((earlier) => wentBack(simulation, earlier, later))),
      'an older token',
    ),
    ...check('I5', !served.some((request) => wasUnlinked(simulation, request)), 'a token after unlink'),
    ...check('I6', (after?.leaseMs ?? 0) <= 0, 'a lease did not end'),
    ...checkSurvival(simulation, row, last),
  ];
}

function check(name: string, holds: boolean, otherwise: string): string[] {
  return holds ? [] : [`${name}: ${otherwise}`];
}

/** I4: a later request got a token that expires earlier; a link in between may cause that. */
function wentBack({ history }: Simulation, earlier: Served, later: Served): boolean {
  if (later.begun <= earlier.done) return false;
  if (history.links.some(({ begun }) => begun >= earlier.begun && begun <= later.done)) return false;
  return later.result.accessTokenExpiresAt < earlier.result.accessTokenExpiresAt;
}

/** I5: the request began after an acknowledged unlink and ended before the next link. */
function wasUnlinked({ history }: Simulation, request: Request): boolean {
  return history.links.some((entry, index) => {
    const next = history.links[index + 1];
    return entry.kind === 'unlink' && request.begun > entry.done && (!next || request.done < next.begun);
  });
}

/**
 * I7: an acknowledged link survives. A provider that does not rotate always returns a token in the end; one that
 * rotates does so unless its newest refresh token was lost on the network or with a process.
 */
function checkSurvival(
  { history, plan, provider }: Simulation,
  row: Row | undefined,
  last: FreshAccessToken | Error,
): string[] {
  const failure = last instanceof Error ? last.toString() : undefined;
  const gotToken = failure === undefined;
  if (history.links.at(-1)?.kind === 'unlink') {
    return check('I7', row === undefined && isFinal(last), 'an unlinked account returned');
  }
  if (!row) return ['I7: a link is lost'];
  const grant = provider.grantOf(row.refreshToken);
  // Merged into another identity: this one may end, and must not be an outage for ever.
  if (grant.person !== PERSON) {
    return check('I7', gotToken || isFinal(last), `an outage for ever: ${failure}`);
  }
  if (!plan.rotates) return check('I7', gotToken, `no token without faults: ${failure}`);
  if (grant.alive && !grant.responseLost) return check('I7', gotToken, `a live grant was lost: ${failure}`);
  return check('I7', gotToken || isFinal(last), `neither a token nor a final error: ${failure}`);
}
