import type { SealedColumns, SealedLink } from './sealed-tokens.repository.js';
import type { SealContext, TokenCipher } from './token-cipher.js';
import { formatScope } from '../scope.js';
import type { TokenSet } from '../token-set.js';

/** The three tokens by the column that keeps them. */
export type TokenColumn = 'access_token' | 'id_token' | 'refresh_token';

/** The only place where this token of this account may be opened. */
export function sealContext(accountId: string, column: TokenColumn): SealContext {
  return { table: 'sealed_tokens', column, account: accountId, kind: column };
}

/** Seals a token set for its row; what it lacks becomes null. */
export async function sealTokens(
  cipher: TokenCipher,
  accountId: string,
  tokens: TokenSet,
): Promise<SealedLink> {
  const seal = (token: string, column: TokenColumn): Promise<string> =>
    cipher.seal(token, sealContext(accountId, column));
  const sealed = {
    accessToken: await seal(tokens.accessToken, 'access_token'),
    idToken: tokens.idToken === undefined ? null : await seal(tokens.idToken, 'id_token'),
    refreshToken: tokens.refreshToken === undefined ? null : await seal(tokens.refreshToken, 'refresh_token'),
  };
  return {
    ...sealed,
    scope: formatScope(tokens.scopes),
    keyIds: keyIds(cipher, sealed),
    accessTokenExpiresAt: tokens.accessTokenExpiresAt,
  };
}

/** The kids that these ciphertexts name, once each, space-separated. */
export function keyIds(cipher: TokenCipher, { accessToken, idToken, refreshToken }: SealedColumns): string {
  const kids = [accessToken, idToken, refreshToken].filter((sealed) => sealed !== null).map(cipher.kidOf);
  return [...new Set(kids)].join(' ');
}
