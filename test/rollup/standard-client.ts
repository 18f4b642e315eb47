import { createHash, randomBytes } from 'node:crypto';
import { leanFetch } from '../../src/fetch.js';
import { createIssuer } from '../../src/rollup/issuer.js';
import { createRollupClient, type RollupClient } from '../../src/rollup/rollup-client.js';
import type { TokenResponse } from '../../src/rollup/token-response.js';
import type { VerifierOptions } from '../../src/rollup/token-verifier.js';
import type { Approval, StandardProvider } from '../kit/standard-provider.js';

/** One sign-in: its callback URL, the state and nonce to check it against, and the exchange of its code. */
export interface SignIn {
  readonly callback: URL;
  readonly state: string;
  readonly nonceHash: string;
  readonly exchange: (codeVerifier?: string) => Promise<TokenResponse>;
}

/** Our client, configured for a standard provider. */
export interface StandardClient {
  readonly client: RollupClient;
  readonly options: VerifierOptions;
  readonly clientWith: (clientSecret: string) => RollupClient;
  readonly signIn: (approval?: Approval, forceConsent?: boolean) => Promise<SignIn>;
}

export function createStandardClient(provider: StandardProvider): StandardClient {
  const { url, clientId, clientSecret, redirectUris } = provider;
  const lifetimes = { maxAgeMs: 600_000, cooldownMs: 60_000, staleMs: 3_600_000 };
  const issuer = createIssuer({ issuer: url, timeoutMs: 5_000, lifetimes, fetch: leanFetch, now: Date.now });
  const clientWith = (secret: string): RollupClient =>
    createRollupClient({ issuer, clientId, clientSecret: secret, timeoutMs: 5_000, fetch: leanFetch });
  const client = clientWith(clientSecret);
  const [redirectUri = ''] = redirectUris;

  async function signIn(approval: Approval = {}, forceConsent = false): Promise<SignIn> {
    const [state, nonce, verifier] = [newSecret(), newSecret(), newSecret()];
    const scopes = ['openid', 'profile', 'email'];
    const codeChallenge = sha256(verifier, 'base64url');
    const request = { redirectUri, scopes, state, nonce, codeChallenge, forceConsent };
    const callback = new URL(await provider.approve(await client.authorizationUrl(request), approval));
    const code = callback.searchParams.get('code') ?? '';
    const exchange: SignIn['exchange'] = (codeVerifier = verifier) =>
      client.exchangeCode({ code, codeVerifier, redirectUri });
    return { callback, state, nonceHash: sha256(nonce, 'hex'), exchange };
  }
  return { client, options: { issuer, clientId, now: Date.now }, clientWith, signIn };
}

const newSecret = (): string => randomBytes(32).toString('base64url');

function sha256(text: string, encoding: 'hex' | 'base64url'): string {
  return createHash('sha256').update(text).digest(encoding);
}
