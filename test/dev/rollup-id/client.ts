import type { RollupId } from '../../../src/dev/rollup-id/rollup-id.js';

/** The status, headers and JSON body of a response. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** An authorization URL with the parameters an application sends; `undefined` omits one. */
export function authorizationUrl(rollup: RollupId, changes: Record<string, string | undefined> = {}): string {
  const url = new URL(`${rollup.url}/authorize`);
  const parameters = {
    response_type: 'code',
    client_id: rollup.clientId,
    redirect_uri: rollup.redirectUris[0],
    scope: 'openid profile email',
    state: 'state-1',
    ...changes,
  };
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url.href;
}

/** A new code, approved by the first person by default. */
export async function newCode(
  rollup: RollupId,
  choice: Parameters<RollupId['approve']>[1] = {},
  scope = 'openid profile email',
): Promise<string> {
  const callback = await rollup.approve(authorizationUrl(rollup, { scope }), choice);
  return new URL(callback).searchParams.get('code') ?? '';
}

/** A form for `/token` with valid credentials; `undefined` omits a field. */
export function tokenForm(rollup: RollupId, fields: Record<string, string | undefined>): URLSearchParams {
  const form = new URLSearchParams();
  const all = { client_id: rollup.clientId, client_secret: rollup.clientSecret, ...fields };
  for (const [name, value] of Object.entries(all)) if (value !== undefined) form.set(name, value);
  return form;
}

/** Posts `tokenForm` to `/token`. */
export async function postToken(
  rollup: RollupId,
  fields: Record<string, string | undefined>,
): Promise<Reply> {
  return read(await fetch(`${rollup.url}/token`, { method: 'POST', body: tokenForm(rollup, fields) }));
}

/** Requests `/userinfo` with a bearer token. */
export async function userinfo(rollup: RollupId, token: string): Promise<Reply> {
  return read(await fetch(`${rollup.url}/userinfo`, { headers: { authorization: `Bearer ${token}` } }));
}

/** Reads a response whose body is a JSON object. */
export async function read(response: Response): Promise<Reply> {
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body };
}
