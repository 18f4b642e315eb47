import { asObjects, asText, type JsonObject } from '../json.js';

/** An account that is connected to an identity. Both fields are unchecked text of the provider, which may omit them. */
export interface ConnectedAccount {
  /** Such as `github` or `eth`. */
  readonly type: string | undefined;
  /** A name, an address or an email, depending on the type. */
  readonly identifier: string | undefined;
}

/** A smart contract wallet (ERC-4337) of an identity. */
export interface SmartContractWallet {
  readonly nickname: string | undefined;
  readonly address: string;
}

/** The userinfo claims of the scopes `connected_accounts` and `erc_4337`. A missing claim is an empty list. */
export interface Userinfo {
  readonly connectedAccounts: readonly ConnectedAccount[];
  readonly smartContractWallets: readonly SmartContractWallet[];
}

/**
 * Reads the claims of a userinfo response. It never fails: claims may be missing and account types unknown.
 *
 * A wallet is `{nickname, address}` when the user selected some, `{type, identifier}` when they selected all.
 */
export function readUserinfo(claims: JsonObject): Userinfo {
  return {
    connectedAccounts: asObjects(claims['connected_accounts']).map(({ type, identifier }) => ({
      type: asText(type),
      identifier: asText(identifier),
    })),
    smartContractWallets: asObjects(claims['erc_4337']).flatMap(({ nickname, address, identifier }) => {
      const wallet = asText(address) ?? asText(identifier);
      return wallet === undefined ? [] : [{ nickname: asText(nickname), address: wallet }];
    }),
  };
}
