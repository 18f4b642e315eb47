import type { AccountsDeps } from './accounts/accounts.js';
import { SET_CLOCKS } from './clock-skew.js';
import { GrantDeadError, ProviderMisconfiguredError, ProviderUnavailableError } from './errors.js';
import type { VerifyAccessToken } from './http/viewer.js';
import { describeOutcome, type Log, pseudonym, logContext } from './log.js';
import type { IssuerMove } from './vault/issuer-move.js';
import type { KeyRotation } from './vault/key-rotation.js';
import type { RefreshEvent } from './vault/refresh-event.js';
import type { RestingTokens } from './vault/resting-tokens.repository.js';
import type { RevocationEvent } from './vault/revocation-event.js';

const REFRESH_ERRORS = new Set<RefreshEvent['type']>(['misconfigured', 'seal_broken', 'key_missing']);
const REFRESH_WARNINGS = new Set<RefreshEvent['type']>([
  'failed',
  'response_lost',
  'response_kept',
  'taken_over',
  'not_recorded',
]);

/** The result of a refresh: an error when an operator has to act on it, a warning when it is temporary. */
export function logRefresh(log: Log, event: RefreshEvent): void {
  const { type, accountId } = event;
  const level = REFRESH_ERRORS.has(type) ? 'error' : REFRESH_WARNINGS.has(type) ? 'warn' : 'info';
  log[level]({ event: type, accountId, err: 'cause' in event ? event.cause : undefined }, 'refresh');
}

/** What became of a refresh token that was to be revoked; a failure is tried again. */
export function logRevocation(log: Log, event: RevocationEvent): void {
  const { type, accountId } = event;
  if ('cause' in event) log.warn({ event: type, accountId, err: event.cause }, 'revocation');
  else log.info({ event: type, accountId }, 'revocation');
}

/** At a start: accounts of another issuer or client, which may be a mistake in the settings. */
export function logResting(log: Log, { accounts, example }: RestingTokens): void {
  log.warn(
    { event: 'resting', accounts, ...example },
    'accounts of another issuer or client rest: they come back when ROLLUP_ISSUER and ROLLUP_CLIENT_ID name it',
  );
}

/** A failed call to Galaxy or the provider on behalf of an account, with its cause. */
export function logAccountCallFailure(
  log: Log,
  source: 'galaxy' | 'userinfo',
  accountId: string,
  err: unknown,
): void {
  if (err instanceof ProviderMisconfiguredError) log.error({ accountId, err }, source);
  else if (err instanceof GrantDeadError) logOutcome(log, { accountId, err }, source);
  else log.warn({ accountId, err }, source);
}

/** What a user or client did, such as cancelling or revoking: one line that says so, without a stack. */
function logOutcome(
  log: Log,
  fields: { readonly accountId?: string; readonly err: unknown },
  message: string,
) {
  log.child({}, { serializers: { err: describeOutcome } }).info(fields, message);
}

/** What happens to accounts, with subjects as pseudonyms. */
export function accountEvents(log: Log): Pick<AccountsDeps, 'onFailure' | 'onChange' | 'onUserinfoFailure'> {
  return {
    onFailure: (err) => {
      if (err instanceof ProviderMisconfiguredError) log.error({ err }, 'link failed');
      else if (err instanceof ProviderUnavailableError) log.warn({ err }, 'link failed');
      // A defect is no outcome: it is logged once more, with its stack, as the internal error that it becomes.
      else logOutcome(log, { err }, 'link failed');
    },
    onUserinfoFailure: (accountId, error) => logAccountCallFailure(log, 'userinfo', accountId, error),
    onChange: (event, { id, sub }) => log.info({ event, accountId: id, subject: pseudonym(sub) }, 'link'),
  };
}

/** The clock of this process began to disagree with the database's, or agrees again. */
export function logClock(log: Log, agrees: boolean, aheadMs: number): void {
  const aheadSeconds = Math.round(aheadMs / 1_000);
  if (agrees) {
    log.info(
      { event: 'clock_right', aheadSeconds },
      'the clock of this machine agrees with the database again',
    );
    return;
  }
  const off = `${Math.abs(aheadSeconds)} s ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
  const message = `the clock of this machine is ${off} the database's: not ready until they agree. ${SET_CLOCKS}`;
  log.error({ event: 'clock_wrong', aheadSeconds }, message);
}

/** A data key that does not unwrap, found while keys were rotated. */
export function logBrokenSeal(log: Log, accountId: string, err: unknown): void {
  log.error({ event: 'seal_broken', accountId, err }, 'keys');
}

/** How far a key rotation is. */
export function logKeyRotation(
  log: Log,
  event: 'keys_rotating' | 'keys_rotated',
  rotation: KeyRotation,
): void {
  const outcome = rotation.broken + rotation.left > 0 ? 'incomplete' : 'complete';
  log.info({ event, ...(event === 'keys_rotated' && { outcome }), ...rotation }, 'keys');
}

/** How far the move of an issuer is. */
export function logIssuerMove(log: Log, event: 'issuer_moving' | 'issuer_moved', move: IssuerMove): void {
  const outcome = move.broken + move.left > 0 ? 'incomplete' : 'complete';
  log.info({ event, ...(event === 'issuer_moved' && { outcome }), ...move }, 'issuer');
}

/** Adds the caller to every later log line of the request, as a pseudonym. */
export function withCallerInLog(verify: VerifyAccessToken): VerifyAccessToken {
  return async (token) => {
    const viewer = await verify(token);
    const fields = logContext.getStore();
    if (fields) fields.who = pseudonym(viewer.sub);
    return viewer;
  };
}
