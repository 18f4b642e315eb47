import type { SqlEntityManager } from '@mikro-orm/sql';
import { AccountNotFoundError } from '../errors.js';
import type { TokenVault } from '../vault/token-vault.js';
import { type AccountRecord, findAccountOfUser, type Identity } from './account.repository.js';

/** A fresh access token of an account, for its own user. */
export interface RenewedToken {
  readonly account: AccountRecord;
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
}

/**
 * Renews the access token of an account of the user: the one named, or the one of the identity that is calling.
 *
 * Throws `AccountNotFoundError` for an account of another user, and what `TokenVault.accessToken` throws.
 */
export async function renewAccessToken(
  em: SqlEntityManager,
  vault: Pick<TokenVault, 'accessToken'>,
  userId: string,
  which: { readonly id: string } | Identity,
  minTtlSeconds: number,
): Promise<RenewedToken> {
  const account = await findAccountOfUser(em, userId, which);
  if (!account) throw new AccountNotFoundError();
  return { account, ...(await vault.accessToken(account.id, minTtlSeconds)) };
}
