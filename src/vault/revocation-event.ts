/** What became of a refresh token that is of no use here any more; never the token. */
export type RevocationEvent = { readonly accountId: string } & (
  | { readonly type: 'revoked' }
  | { readonly type: 'revocation_failed' | 'revocation_given_up'; readonly cause: unknown }
);
