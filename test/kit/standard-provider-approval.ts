import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { RESOURCE } from './standard-provider-settings.js';

export interface Approval {
  /** The person who signs in; the first one when absent. */
  readonly sub?: string;
  /** The granted scopes; all requested ones when absent. */
  readonly scopes?: readonly string[];
}

const MAX_REDIRECTS = 10;

/** Acts as a new browser: follows redirects within the provider's origin and returns the first URL outside it. */
export async function followToCallback(
  origin: string,
  authorizationUrl: string,
  query: Readonly<Record<string, string>>,
): Promise<string> {
  const jar = new Map<string, string>();
  let location = authorizationUrl;
  for (let hop = 0; hop < MAX_REDIRECTS; hop += 1) {
    const url = new URL(location, origin);
    if (url.origin !== origin) return location;
    if (isInteraction(url.pathname)) url.search = new URLSearchParams(query).toString();
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      jar.set(name, value);
    }
    const next = response.headers.get('location');
    if (next === null) throw new Error(`no redirect: status ${response.status} ${await response.text()}`);
    location = next;
  }
  throw new Error('too many redirects');
}

export function isInteraction(path: string): boolean {
  return path.startsWith('/interaction/');
}

/** Signs in and grants as the query states, instead of the two pages that a person would see. */
export async function completeInteraction(
  provider: Provider,
  clientId: string,
  ctx: Pick<KoaContextWithOIDC, 'req' | 'res' | 'respond' | 'query'>,
): Promise<void> {
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const accountId = String(ctx.query['sub']);
  const requested = String(params['scope']).split(' ');
  const granted = String(ctx.query['scopes'] ?? params['scope']).split(' ');
  const grant = new provider.Grant({ accountId, clientId });
  for (const scope of requested) {
    const verb = granted.includes(scope) ? 'add' : 'reject';
    grant[`${verb}OIDCScope`](scope);
    grant[`${verb}ResourceScope`](RESOURCE, scope);
  }
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result);
}
