import { knownScopes } from '../scope.js';
import type { DeepReadonly, SettingsReader } from '../settings-reader.js';

export type AccountsSettings = DeepReadonly<ReturnType<typeof readAccountsSettings>>;

/** What a link may request, and for how long it can be completed. */
export function readAccountsSettings(read: SettingsReader) {
  return {
    allowedScopes: read.list('ROLLUP_SCOPES', [...knownScopes.keys()]),
    /** Attempts that one address may have open. */
    openLinksPerAddress: read.integer('OPEN_LINKS_PER_ADDRESS', 1_000, 1, 1_000_000),
    linkTtlSeconds: read.integer('LINK_TTL_SECONDS', 600, 1, 86_400),
  };
}
