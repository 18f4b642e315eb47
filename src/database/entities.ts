import { GalaxySlot } from '../galaxy/galaxy-slot.entity.js';
import { PendingLink } from '../accounts/pending-link.entity.js';
import { RollupAccount } from '../accounts/rollup-account.entity.js';
import { User } from '../accounts/user.entity.js';
import { PendingRevocation } from '../vault/pending-revocation.entity.js';
import { SealedTokens } from '../vault/sealed-tokens.entity.js';
import { ServerHeartbeat } from '../vault/server-heartbeat.entity.js';
import { TokenKey } from '../vault/token-key.entity.js';

/** Every table of ours; nothing is discovered from the file system. */
export const entities = [
  User,
  RollupAccount,
  PendingLink,
  TokenKey,
  SealedTokens,
  PendingRevocation,
  ServerHeartbeat,
  GalaxySlot,
];
