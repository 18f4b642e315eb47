import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { REFRESH_TOKEN_USED } from './standard-provider-settings.js';

export type TokenRequestKind = 'exchange' | 'refresh' | 'other';

/**
 * Called twice for each token request: before the provider handles it, and after that but before the response.
 * A promise delays the request, and `'cut'` resets its connection.
 */
export type TokenFault = (
  kind: TokenRequestKind,
  moment: 'before' | 'after',
) => Promise<'cut' | undefined> | 'cut' | undefined;

/** Counts of calls to the token endpoint. */
export interface TokenCalls {
  token: number;
  exchange: number;
  refresh: number;
  /** Requests to revoke, whatever becomes of them. */
  revocation: number;
  /** Refresh tokens that were used twice; the provider revokes their family each time. */
  reuse: number;
  /** Refreshes that the provider carried out, whether or not their response arrived. */
  readonly refreshesBySub: Map<string, number>;
}

/** Counts the outcomes that the provider emits as events. */
export function countOutcomes(provider: Provider, calls: TokenCalls): void {
  provider.on('grant.error', (_ctx, { error_detail: detail }) => {
    if (detail === REFRESH_TOKEN_USED) calls.reuse += 1;
  });
  provider.on('grant.success', ({ oidc }) => {
    const sub = oidc.entities.Account?.accountId;
    if (oidc.params?.['grant_type'] !== 'refresh_token' || sub === undefined) return;
    calls.refreshesBySub.set(sub, (calls.refreshesBySub.get(sub) ?? 0) + 1);
  });
}

/** Counts a call to the token endpoint and applies the fault. */
export async function handleTokenCall(
  ctx: Pick<KoaContextWithOIDC, 'req' | 'respond'>,
  next: () => Promise<unknown>,
  { calls, fault }: { calls: TokenCalls; fault: TokenFault | undefined },
): Promise<void> {
  const kind = await readKind(ctx.req);
  calls.token += 1;
  if (kind !== 'other') calls[kind] += 1;
  const isCut = async (moment: 'before' | 'after'): Promise<boolean> => {
    if ((await fault?.(kind, moment)) !== 'cut') return false;
    ctx.respond = false;
    ctx.req.socket.resetAndDestroy();
    return true;
  };
  if (await isCut('before')) return;
  await next();
  await isCut('after');
}

/** Reads the body and unshifts it again, since oidc-provider reads it too. */
async function readKind(request: IncomingMessage): Promise<TokenRequestKind> {
  const length = Number(request.headers['content-length'] ?? 0);
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < length) {
    const chunk = request.read() as Buffer | null;
    if (chunk === null) {
      await once(request, 'readable');
    } else {
      chunks.push(chunk);
      size += chunk.length;
    }
  }
  const body = Buffer.concat(chunks);
  if (size > 0) request.unshift(body);
  const grantType = new URLSearchParams(body.toString()).get('grant_type');
  if (grantType === 'authorization_code') return 'exchange';
  return grantType === 'refresh_token' ? 'refresh' : 'other';
}
