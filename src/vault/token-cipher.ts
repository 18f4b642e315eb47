import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { SealBrokenError } from '../errors.js';
import { formatScope } from '../scope.js';
import type { ClientRegistration, TokenSet } from '../token-set.js';
import { createDataKey, unwrapDataKey, wrapDataKey } from './data-key.js';
import { openJwe, type SealContext, sealJwe } from './jwe.js';
import type { KeyRing } from './key-ring.js';
import type { Ciphertexts, SealedColumns, SealedLink } from './sealed-tokens.repository.js';
import type { SealedContent } from './sealed-row.repository.js';

/** The column of each ciphertext, which is its kind as well. */
const COLUMNS = {
  accessToken: 'access_token',
  idToken: 'id_token',
  refreshToken: 'refresh_token',
  pendingResponse: 'pending_response',
} as const;

export type SealedName = keyof typeof COLUMNS;

/** The data key of an account, as it is stored. */
export type KeyedRow = Pick<SealedContent, 'accountId' | 'keyId' | 'dataKey'>;

/** What a row needs to have a ciphertext of it opened. */
export type OpenableRow<Name extends SealedName = SealedName> = KeyedRow & Pick<SealedContent, Name>;

/** Seals and opens the tokens of accounts, all of them those of one client at one issuer. Safe to share. */
export interface TokenCipher {
  /** Where the tokens are from, and whom they were issued to. */
  readonly registration: ClientRegistration;
  /** Seals the tokens of a link under a new data key; what the set lacks becomes null. */
  sealLink(accountId: string, tokens: TokenSet): Promise<SealedLink>;
  /** Seals the tokens of a refresh under the data key of the row. Throws `SealBrokenError`. */
  sealRefresh(row: KeyedRow, tokens: TokenSet): Promise<SealedColumns>;
  /** Seals a response that cannot be verified yet. Throws `SealBrokenError`. */
  sealResponse(row: KeyedRow, response: string): Promise<string>;
  /** Whether two rows are of one link, whose data key may have been wrapped anew. Throws `SealBrokenError`. */
  isSameLink(row: KeyedRow, other: KeyedRow): boolean;
  /** Opens one ciphertext of a row. Throws `SealBrokenError`, also when there is none. */
  open<Name extends SealedName>(row: OpenableRow<Name>, name: Name): Promise<string>;
  /** Opens several ciphertexts of a row with its data key unwrapped once: that takes as long as to open one. */
  openAll<Name extends SealedName>(
    row: OpenableRow<Name>,
    names: readonly Name[],
  ): Promise<Readonly<Record<Name, string>>>;
}

export function createTokenCipher(ring: KeyRing, registration: ClientRegistration): TokenCipher {
  const { issuer, clientId } = registration;
  /** The only place where this token of this account can be opened. */
  const context = (account: string, name: SealedName): SealContext => {
    const column = COLUMNS[name];
    return { table: 'sealed_tokens', column, account, kind: column, issuer, client_id: clientId };
  };
  const seal = async (key: KeyObject, accountId: string, tokens: TokenSet): Promise<SealedColumns> => {
    const sealed = async (name: keyof Ciphertexts): Promise<string | null> =>
      tokens[name] === undefined ? null : sealJwe(tokens[name], key, context(accountId, name));
    return {
      accessToken: await sealed('accessToken'),
      idToken: await sealed('idToken'),
      refreshToken: await sealed('refreshToken'),
      scope: formatScope(tokens.scopes),
      accessTokenIssuedAt: tokens.accessTokenIssuedAt,
      accessTokenExpiresAt: tokens.accessTokenExpiresAt,
    };
  };
  return {
    registration,
    sealLink: async (accountId, tokens) => {
      const key = createDataKey();
      return { ...registration, ...wrapDataKey(ring, key), ...(await seal(key, accountId, tokens)) };
    },
    sealRefresh: async (row, tokens) => seal(dataKeyOf(ring, row), row.accountId, tokens),
    sealResponse: async (row, response) =>
      sealJwe(response, dataKeyOf(ring, row), context(row.accountId, 'pendingResponse')),
    isSameLink: (row, other) => isSameKey(dataKeyOf(ring, row), dataKeyOf(ring, other)),
    open: async (row, name) => openJwe(row[name] ?? '', dataKeyOf(ring, row), context(row.accountId, name)),
    openAll: async <Name extends SealedName>(row: OpenableRow<Name>, names: readonly Name[]) => {
      const key = dataKeyOf(ring, row);
      const open = async (name: Name): Promise<[Name, string]> => [
        name,
        await openJwe(row[name] ?? '', key, context(row.accountId, name)),
      ];
      return Object.fromEntries(await Promise.all(names.map(open))) as Record<Name, string>;
    },
  };
}

/** In constant time, as `KeyObject.equals` is not. */
function isSameKey(key: KeyObject, other: KeyObject): boolean {
  return timingSafeEqual(key.export(), other.export());
}

function dataKeyOf(ring: KeyRing, { keyId, dataKey }: KeyedRow): KeyObject {
  if (keyId === null || dataKey === null) throw new SealBrokenError('DATA_KEY');
  return unwrapDataKey(ring, { keyId, dataKey });
}
