import { asObjects, asText, type JsonObject } from '../json.js';

/** A login that an identity has connected. Both as the provider writes them, absent where it left them out. */
export interface ConnectedAccount {
  /** Such as `github` or `eth`. */
  readonly type: string | undefined;
  /** A name, an address or an email, by type. */
  readonly identifier: string | undefined;
}

/** A smart contract wallet (ERC-4337) of an identity. */
export interface SmartContractWallet {
  readonly nickname: string | undefined;
  readonly address: string;
}

/** What the scopes `connected_accounts` and `erc_4337` add to userinfo. A key that is missing is an empty list. */
export interface Userinfo {
  readonly connectedAccounts: readonly ConnectedAccount[];
  readonly smartContractWallets: readonly SmartContractWallet[];
}

/**
 * Reads the claims of a userinfo answer. Nothing about their shape is an error: keys may be missing, types unknown.
 *
 * A wallet is `{nickname, address}` when the user picked some, `{type, identifier}` when they picked all.
 */
export function readUserinfo(claims: JsonObject): Userinfo {
  return {
    connectedAccounts: asObjects(claims['connected_accounts']).map(({ type, identifier }) => ({
      type: asText(type),
      identifier: asText(identifier),
    })),
    smartContractWallets: asObjects(claims['erc_4337']).flatMap(({ nickname, address, identifier }) => {
      const known = asText(address) ?? asText(identifier);
      return known === undefined ? [] : [{ nickname: asText(nickname), address: known }];
    }),
  };
}
