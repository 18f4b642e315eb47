import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { RESOURCE } from './standard-provider-settings.js';

export interface Approval {
  /** Who signs in; the first person when absent. */
  readonly sub?: string;
  /** Which of the scopes asked for are granted; all when absent. */
  readonly scopes?: readonly string[];
}

const MAX_REDIRECTS = 10;

/** A browser of its own: follows redirects within the provider's origin and returns the first that leaves it. */
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
    if (next === null) throw new Error(`the provider answered ${response.status} ${await response.text()}`);
    location = next;
  }
  throw new Error('the provider redirects in circles');
}

export function isInteraction(path: string): boolean {
  return path.startsWith('/interaction/');
}

/** Signs in and grants what the query says, where a person would see two pages. */
export async function decide(
  provider: Provider,
  clientId: string,
  ctx: Pick<KoaContextWithOIDC, 'req' | 'res' | 'respond' | 'query'>,
): Promise<void> {
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const accountId = String(ctx.query['sub']);
  const asked = String(params['scope']).split(' ');
  const granted = String(ctx.query['scopes'] ?? params['scope']).split(' ');
  const grant = new provider.Grant({ accountId, clientId });
  for (const scope of asked) {
    const verb = granted.includes(scope) ? 'add' : 'reject';
    grant[`${verb}OIDCScope`](scope);
    grant[`${verb}ResourceScope`](RESOURCE, scope);
  }
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result);
}
