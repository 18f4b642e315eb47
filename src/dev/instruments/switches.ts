import { noFaults } from './faults.js';

/**
 * Behaviour that differs between versions, documentation and code of Rollup ID, and injected faults. Mutable; by
 * default the provider behaves as Rollup ID does.
 */
export function defaultSwitches() {
  return {
    /** Behave as documented: codes are single-use, and a revoked grant rejects its refresh tokens. */
    strict: false,
    /** The status of an unknown or expired code: 500 as observed, 401 as intended. */
    expiredCodeStatus: 500 as 500 | 401,
    /** Whether userinfo names the email's kind of account in a top-level `type`. */
    emailWithType: true,
    /** The shape of `erc_4337` items: `nickname` and `address`, or `type` and `identifier`. */
    walletShape: 'nickname' as 'nickname' | 'identifier',
    /** Whether Galaxy's guard errors lose message and status (`masked`, later versions) or keep them. */
    galaxyErrors: 'masked' as 'masked' | 'plain',
    /** Lifetime of access and ID tokens in seconds. */
    accessTokenLifetimeSeconds: 3600,
    faults: noFaults(),
  };
}
