import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createMint } from './tokens.js';

/**
 * A provider in a process of its own, as cheap as one can be: it signs, and checks nothing. A refresh is answered like
 * Rollup ID does, with an access token alone; a code is the `sub` that it stands for.
 */
const privateKey = process.env['PRIVATE_KEY'] ?? '';
const clientId = process.env['CLIENT_ID'] ?? '';
const server = createServer((request, response) => void handle(request, response)).listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const mint = createMint({ issuer, clientId, privateKey });
const documents: Readonly<Record<string, object>> = {
  '/.well-known/openid-configuration': {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    userinfo_endpoint: `${issuer}/userinfo`,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
  },
  '/.well-known/jwks.json': { keys: [mint.jwk] },
};
process.send?.(issuer);
process.once('disconnect', () => process.exit());

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = request.url ?? '';
  if (url === '/token') return respond(response, answer(new URLSearchParams(await readBody(request))));
  if (url !== '/userinfo') return respond(response, documents[url] ?? {});
  const sub = subOf(request.headers.authorization ?? '');
  respond(response, { name: 'Jane Doe', email: 'jane@example.com', type: 'google', sub });
}

function answer(form: URLSearchParams): object {
  const code = form.get('code');
  if (code === null) {
    return { access_token: mint.access(subOf(form.get('refresh_token') ?? '')), token_type: 'Bearer' };
  }
  const { accessToken, idToken, refreshToken } = mint.grant(code);
  const tokens = { access_token: accessToken, id_token: idToken, refresh_token: refreshToken };
  return { ...tokens, token_type: 'Bearer' };
}

function subOf(token: string): string {
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(claims) as { sub: string }).sub;
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}

function respond(response: ServerResponse, document: object): void {
  const body = JSON.stringify(document);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
