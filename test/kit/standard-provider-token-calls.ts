import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { REFRESH_TOKEN_USED } from './standard-provider-records.js';

export type TokenRequestKind = 'exchange' | 'refresh' | 'other';

/**
 * Called twice with each token request: before the provider looks at it, and after its work but before the answer.
 * The request waits for a promise, and `'cut'` resets its connection.
 */
export type TokenFault = (
  kind: TokenRequestKind,
  moment: 'before' | 'after',
) => Promise<'cut' | undefined> | 'cut' | undefined;

/** What was asked of the token endpoint. */
export interface TokenCalls {
  token: number;
  exchange: number;
  refresh: number;
  /** Refresh tokens that came a second time; each time their whole family was revoked. */
  reuse: number;
  /** Refreshes that the provider carried out, whether or not their answer arrived. */
  readonly refreshesBySub: Map<string, number>;
}

/** Counts what the provider says of the calls it worked on. */
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

/** Counts a call to the token endpoint and lets the fault have its way with it. */
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

/** Reads the body and puts it back, since oidc-provider wants to read it itself. */
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
