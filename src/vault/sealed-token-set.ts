import { formatScope } from '../scope.js';
import type { RenewableTokens, TokenSet } from '../token-set.js';
import type { SealedColumns, SealedLink, SealedRow } from './sealed-tokens.repository.js';
import type { SealContext, TokenCipher } from './token-cipher.js';

/** The column of each token, which is its kind as well. */
const COLUMNS = { accessToken: 'access_token', idToken: 'id_token', refreshToken: 'refresh_token' } as const;

type TokenName = keyof typeof COLUMNS;
/** The columns of the three tokens. */
export type TokenColumn = (typeof COLUMNS)[TokenName];
const NAMES = Object.keys(COLUMNS) as TokenName[];

/** Seals a token set for the row of an account; what it lacks becomes null. */
export async function sealTokenSet(
  cipher: TokenCipher,
  accountId: string,
  tokens: TokenSet,
): Promise<SealedLink> {
  const seal = async (name: TokenName): Promise<string | null> =>
    tokens[name] === undefined ? null : cipher.seal(tokens[name], sealContext(accountId, COLUMNS[name]));
  const sealed = {
    accessToken: await cipher.seal(tokens.accessToken, sealContext(accountId, COLUMNS.accessToken)),
    idToken: await seal('idToken'),
    refreshToken: await seal('refreshToken'),
  };
  const { accessTokenExpiresAt, scopes } = tokens;
  return { ...sealed, scope: formatScope(scopes), keyIds: keyIdsOf(cipher, sealed), accessTokenExpiresAt };
}

/** Opens one token of an account. Throws `SealBrokenError`, also when there is none. */
export function openToken(
  cipher: TokenCipher,
  accountId: string,
  sealed: SealedColumns,
  name: TokenName,
): Promise<string> {
  return cipher.open(sealed[name] ?? '', sealContext(accountId, COLUMNS[name]));
}

/** Opens what a refresh needs. Throws `SealBrokenError`. */
export async function openRenewableTokens(cipher: TokenCipher, row: SealedRow): Promise<RenewableTokens> {
  const { accountId, idToken } = row;
  // The ID token stays when the response omits it. A damaged one could not be stored, so the provider is not called.
  if (idToken !== null) cipher.kidOf(idToken);
  return {
    accessToken: await openToken(cipher, accountId, row, 'accessToken'),
    refreshToken: await openToken(cipher, accountId, row, 'refreshToken'),
  };
}

/** Opens the tokens of an account and seals them with the current key. Throws `SealBrokenError`. */
export async function resealTokens(
  cipher: TokenCipher,
  accountId: string,
  sealed: SealedColumns,
): Promise<SealedColumns> {
  const reseal = async (name: TokenName): Promise<string> =>
    cipher.seal(await openToken(cipher, accountId, sealed, name), sealContext(accountId, COLUMNS[name]));
  return {
    accessToken: await reseal('accessToken'),
    idToken: sealed.idToken === null ? null : await reseal('idToken'),
    refreshToken: sealed.refreshToken === null ? null : await reseal('refreshToken'),
  };
}

/** The token whose ciphertext names this key, if there is one. */
export function tokenSealedWith(
  cipher: TokenCipher,
  kid: string,
  sealed: SealedColumns,
): TokenName | undefined {
  return NAMES.find((name) => sealed[name] !== null && cipher.kidOf(sealed[name]) === kid);
}

/** The key ids that these ciphertexts name, once each, space-separated. */
export function keyIdsOf(cipher: TokenCipher, sealed: SealedColumns): string {
  const ciphertexts = NAMES.map((name) => sealed[name]).filter((ciphertext) => ciphertext !== null);
  return [...new Set(ciphertexts.map((ciphertext) => cipher.kidOf(ciphertext)))].join(' ');
}

/** The only place where this token of this account can be opened. */
export function sealContext(accountId: string, column: TokenColumn): SealContext {
  return { table: 'sealed_tokens', column, account: accountId, kind: column };
}
