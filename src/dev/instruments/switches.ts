import type { FaultPoint, FaultScript } from './faults.js';

/** How the provider behaves where versions, documentation and code differ, and which faults it plays. Plain and mutable. */
export interface Switches {
  /** Behave as documented: codes are single use, and a revoked grant refuses to refresh. */
  strict: boolean;
  /** The status of an unknown or expired code: 500 is what surfaces, 401 what is meant. */
  expiredCodeStatus: 500 | 401;
  /** Whether userinfo names the kind of account behind the email, in a top-level `type`. */
  emailWithType: boolean;
  /** The shape of `erc_4337` items: `nickname` and `address`, or `type` and `identifier`. */
  walletShape: 'nickname' | 'identifier';
  /** Whether Galaxy's guard errors lose message and status (`masked`, late versions) or keep them. */
  galaxyErrors: 'masked' | 'plain';
  /** Life of access and ID tokens in seconds. */
  accessTokenLifetimeSeconds: number;
  /** What goes wrong, endpoint by endpoint. */
  faults: Record<FaultPoint, FaultScript>;
}

/** The switches of a provider that behaves as Rollup ID does. */
export function defaultSwitches(): Switches {
  const quiet = (): FaultScript => ({ queue: [], standing: undefined });
  return {
    strict: false,
    expiredCodeStatus: 500,
    emailWithType: true,
    walletShape: 'nickname',
    galaxyErrors: 'masked',
    accessTokenLifetimeSeconds: 3600,
    faults: {
      token: quiet(),
      refresh: quiet(),
      exchange: quiet(),
      userinfo: quiet(),
      jwks: quiet(),
      discovery: quiet(),
      galaxy: quiet(),
    },
  };
}
