import { decodeJwt } from 'jose';

/** What one caller did to one identity, and what came of it. */
export type Operation = Readonly<{ sub: string; invoked: number; completed: number }> &
  (
    | { readonly kind: 'read'; readonly token: string }
    | { readonly kind: 'read'; readonly refused: string }
    /** `unknown`: nobody was told what came of it, so it may have happened, then or later. */
    | { readonly kind: 'link' | 'unlink'; readonly outcome: 'done' | 'refused' | 'unknown' }
  );

/** What came of an operation; without anything of when and whose. */
export type Outcome = Operation extends infer Each
  ? Each extends Operation
    ? Omit<Each, 'sub' | 'invoked' | 'completed'>
    : never
  : never;

/** Numbers of one identity: what its refreshes may cost and what they did. */
export interface Cost {
  readonly calls: number;
  readonly expiries: number;
  readonly faults: number;
}

/** All that callers saw, in the order in which they saw it. */
export class History {
  readonly operations: Operation[] = [];
  #moment = 0;

  /** Runs an operation and keeps it with the moments of its call and of its return. */
  async record<Result extends Outcome>(sub: string, operate: () => Promise<Result>): Promise<Result> {
    const invoked = (this.#moment += 1);
    const outcome = await operate();
    const late = 'outcome' in outcome && outcome.outcome === 'unknown';
    const completed = late ? Number.POSITIVE_INFINITY : (this.#moment += 1);
    this.operations.push({ sub, invoked, completed, ...outcome });
    return outcome;
  }
}

type Read = Extract<Operation, { token: string }>;
type Change = Extract<Operation, { outcome: string }>;

/** What breaks an invariant, in words that name it; empty for a history as it should be. */
export function findViolations(operations: readonly Operation[], costs: ReadonlyMap<string, Cost>): string[] {
  const histories = [...Map.groupBy(operations, ({ sub }) => sub).values()];
  return [...costs]
    .flatMap(([sub, cost]) => overspent(sub, cost))
    .concat(operations.filter(isRead).flatMap(foreign))
    .concat(histories.flatMap(backwards))
    .concat(histories.flatMap((own) => own.flatMap((read) => afterUnlink(own, read))))
    .concat(histories.flatMap((own) => own.flatMap((read) => lostLink(own, read))));
}

function overspent(sub: string, { calls, expiries, faults }: Cost): string[] {
  if (calls <= expiries + faults) return [];
  return [`I2 ${sub}: ${calls} calls for ${expiries} expiries and ${faults} faults`];
}

function foreign({ sub, invoked, token }: Read): string[] {
  const { sub: actual } = decodeJwt(token);
  return actual === sub ? [] : [`I3 ${sub} at ${invoked}: got a token of ${actual}`];
}

/** A link may store tokens that were issued some time before; reads at that time are not compared with later ones. */
function backwards(own: readonly Operation[]): string[] {
  const links = own.filter(isChange).filter(({ kind, outcome }) => kind === 'link' && outcome !== 'refused');
  const reads = own.filter(isRead).map((read) => ({ read, exp: decodeJwt(read.token).exp ?? 0 }));
  const fixed = reads.filter(
    ({ read }) => !links.some((link) => link.invoked < read.completed && link.completed > read.invoked),
  );
  return reads.flatMap(({ read, exp }) => {
    const newer = fixed.find((earlier) => earlier.read.completed < read.invoked && earlier.exp > exp);
    return newer
      ? [`I4 ${read.sub} at ${read.invoked}: exp goes back ${newer.exp - exp} s behind ${newer.read.invoked}`]
      : [];
  });
}

function afterUnlink(own: readonly Operation[], read: Operation): string[] {
  if (!isRead(read)) return [];
  const gone = settledBefore(own, read, 'unlink', 'link');
  return gone ? [`I5 ${read.sub} at ${read.invoked}: a token after the unlink at ${gone.completed}`] : [];
}

function lostLink(own: readonly Operation[], read: Operation): string[] {
  if (!('refused' in read) || !/^(NOT_LINKED|ACCOUNT_NOT_FOUND)$/.test(read.refused)) return [];
  const kept = settledBefore(own, read, 'link', 'unlink');
  return kept ? [`I7 ${read.sub} at ${read.invoked}: the link at ${kept.completed} is gone`] : [];
}

/** A change that was acknowledged before `read` began, with nothing of the opposite kind that could undo it. */
function settledBefore(
  own: readonly Operation[],
  read: Operation,
  kind: 'link' | 'unlink',
  opposite: 'link' | 'unlink',
): Change | undefined {
  const changes = own.filter(isChange).filter(({ outcome }) => outcome !== 'refused');
  const undone = (change: Change): boolean =>
    changes.some(
      (other) =>
        other.kind === opposite && other.completed > change.invoked && other.invoked < read.completed,
    );
  return changes.find(
    (change) =>
      change.kind === kind && change.outcome === 'done' && change.completed < read.invoked && !undone(change),
  );
}

function isRead(operation: Operation): operation is Read {
  return 'token' in operation;
}

function isChange(operation: Operation): operation is Change {
  return 'outcome' in operation;
}
