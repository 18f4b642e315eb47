import { decodeJwt } from 'jose';

/** One operation of a caller on an identity, and its outcome. */
export type Operation = Readonly<{ sub: string; invoked: number; completed: number }> &
  (
    | { readonly kind: 'read'; readonly token: string }
    | { readonly kind: 'read'; readonly rejected: string }
    /** `unknown`: the caller got no outcome, so the change may have happened, or happen later. */
    | { readonly kind: 'link' | 'unlink'; readonly outcome: 'done' | 'rejected' | 'unknown' }
  );

/** The outcome of an operation, without its identity and times. */
export type Outcome = Operation extends infer Each
  ? Each extends Operation
    ? Omit<Each, 'sub' | 'invoked' | 'completed'>
    : never
  : never;

/** The refresh calls of one identity, and the expiries and faults that allow them. */
export interface Cost {
  readonly calls: number;
  readonly expiries: number;
  readonly faults: number;
}

/** What callers observed, in logical time. */
export class History {
  readonly operations: Operation[] = [];
  #time = 0;

  /** Runs an operation and records it with the times of its invocation and completion. */
  async record<Result extends Outcome>(sub: string, operate: () => Promise<Result>): Promise<Result> {
    const invoked = (this.#time += 1);
    const outcome = await operate();
    const unknown = 'outcome' in outcome && outcome.outcome === 'unknown';
    const completed = unknown ? Number.POSITIVE_INFINITY : (this.#time += 1);
    this.operations.push({ sub, invoked, completed, ...outcome });
    return outcome;
  }
}

type Read = Extract<Operation, { token: string }>;
type Change = Extract<Operation, { outcome: string }>;

/** Violations of the invariants I2 to I5 and I7, each with its name; empty for a correct history. */
export function findViolations(operations: readonly Operation[], costs: ReadonlyMap<string, Cost>): string[] {
  const histories = [...Map.groupBy(operations, ({ sub }) => sub).values()];
  return [...costs]
    .flatMap(([sub, cost]) => excessCalls(sub, cost))
    .concat(operations.filter(isRead).flatMap(foreignToken))
    .concat(histories.flatMap(olderToken))
    .concat(histories.flatMap((own) => own.flatMap((read) => tokenAfterUnlink(own, read))))
    .concat(histories.flatMap((own) => own.flatMap((read) => lostLink(own, read))));
}

function excessCalls(sub: string, { calls, expiries, faults }: Cost): string[] {
  if (calls <= expiries + faults) return [];
  return [`I2 ${sub}: ${calls} calls for ${expiries} expiries and ${faults} faults`];
}

function foreignToken({ sub, invoked, token }: Read): string[] {
  const { sub: actual } = decodeJwt(token);
  return actual === sub ? [] : [`I3 ${sub} at ${invoked}: got a token of ${actual}`];
}

/** A link may store tokens that were issued earlier, so reads that overlap one are not compared with later ones. */
function olderToken(own: readonly Operation[]): string[] {
  const links = own.filter(isChange).filter(({ kind, outcome }) => kind === 'link' && outcome !== 'rejected');
  const reads = own.filter(isRead).map((read) => ({ read, exp: decodeJwt(read.token).exp ?? 0 }));
  const withoutLink = reads.filter(
    ({ read }) => !links.some((link) => link.invoked < read.completed && link.completed > read.invoked),
  );
  return reads.flatMap(({ read, exp }) => {
    const newer = withoutLink.find((earlier) => earlier.read.completed < read.invoked && earlier.exp > exp);
    return newer
      ? [`I4 ${read.sub} at ${read.invoked}: exp goes back ${newer.exp - exp} s behind ${newer.read.invoked}`]
      : [];
  });
}

function tokenAfterUnlink(own: readonly Operation[], read: Operation): string[] {
  if (!isRead(read)) return [];
  const unlink = settledBefore(own, read, 'unlink', 'link');
  return unlink ? [`I5 ${read.sub} at ${read.invoked}: a token after the unlink at ${unlink.completed}`] : [];
}

function lostLink(own: readonly Operation[], read: Operation): string[] {
  if (!('rejected' in read) || !/^(NOT_LINKED|ACCOUNT_NOT_FOUND)$/.test(read.rejected)) return [];
  const link = settledBefore(own, read, 'link', 'unlink');
  return link ? [`I7 ${read.sub} at ${read.invoked}: the link at ${link.completed} is lost`] : [];
}

/** A change that was acknowledged before `read` began, and that no opposite change may have undone. */
function settledBefore(
  own: readonly Operation[],
  read: Operation,
  kind: 'link' | 'unlink',
  opposite: 'link' | 'unlink',
): Change | undefined {
  const changes = own.filter(isChange).filter(({ outcome }) => outcome !== 'rejected');
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
