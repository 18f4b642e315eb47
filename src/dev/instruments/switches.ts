import type { FaultPoint, EndpointFaults } from './faults.js';

/** Behaviour that differs between versions, documentation and code of Rollup ID, and injected faults. Mutable. */
export interface Switches {
  /** Behave as documented: codes are single-use, and a revoked grant rejects its refresh tokens. */
  strict: boolean;
  /** The status of an unknown or expired code: 500 as observed, 401 as intended. */
  expiredCodeStatus: 500 | 401;
  /** Whether userinfo names the email's kind of account in a top-level `type`. */
  emailWithType: boolean;
  /** The shape of `erc_4337` items: `nickname` and `address`, or `type` and `identifier`. */
  walletShape: 'nickname' | 'identifier';
  /** Whether Galaxy's guard errors lose message and status (`masked`, later versions) or keep them. */
  galaxyErrors: 'masked' | 'plain';
  /** Lifetime of access and ID tokens in seconds. */
  accessTokenLifetimeSeconds: number;
  /** Injected faults by endpoint. */
  faults: Record<FaultPoint, EndpointFaults>;
}

/** The switches of a provider that behaves as Rollup ID does. */
export function defaultSwitches(): Switches {
  const noFaults = (): EndpointFaults => ({ queue: [], standing: undefined });
  return {
    strict: false,
    expiredCodeStatus: 500,
    emailWithType: true,
    walletShape: 'nickname',
    galaxyErrors: 'masked',
    accessTokenLifetimeSeconds: 3600,
    faults: {
      token: noFaults(),
      refresh: noFaults(),
      exchange: noFaults(),
      userinfo: noFaults(),
      jwks: noFaults(),
      discovery: noFaults(),
      galaxy: noFaults(),
    },
  };
}
