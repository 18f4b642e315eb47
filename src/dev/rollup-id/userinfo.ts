import type { FastifyRequest } from 'fastify';
import type { Person } from './people.js';
import { bareError, rollupError } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { originOf } from './request.js';
import { json } from './response.js';
import { DATA_ERROR, readScopeClaim } from './token-endpoint.js';
import { decodeToken, verifyToken } from './tokens.js';

const METHOD = 'getUserInfo';
const DATA_SCOPES = new Set(['email', 'connected_accounts', 'erc_4337']);

/** Handles `/userinfo`: live data in the order of the token's scopes, `sub` last. Throws `ProviderError`. */
export async function handleUserinfo(state: ProviderState, request: FastifyRequest) {
  const token = readBearerToken(request.headers.authorization);
  const { aud, sub } = decodeToken(token, METHOD);
  const client = Array.isArray(aud) ? aud[0] : aud;
  if (client === undefined || client === '') {
    throw rollupError('BAD_REQUEST', 'missing client id in the aud claim');
  }
  if (sub === undefined || !sub.startsWith('urn:rollupid:identity/')) {
    throw rollupError('BAD_REQUEST', 'missing identity in the sub claim');
  }
  const { scope } = await verifyToken(state, token, originOf(request));
  const granted = client === state.clientId && !state.grants.isRevoked(sub);
  const person = state.people.find((candidate) => candidate.sub === sub);
  const claims: Record<string, unknown> = {};
  for (const name of readScopeClaim(scope, METHOD)) {
    if (DATA_SCOPES.has(name) && (!granted || person === undefined)) throw dataError();
    Object.assign(claims, person === undefined ? {} : claimsOfScope(state, name, person));
  }
  return json({ ...claims, sub });
}

function readBearerToken(authorization: string | undefined): string {
  if (authorization === undefined) throw rollupError('UNAUTHORIZED', 'No access token provided');
  const [scheme, token, ...rest] = authorization.split(' ');
  if (scheme !== 'Bearer' || token === undefined || token === '' || rest.length > 0) {
    throw bareError('unknown error');
  }
  return token;
}

function claimsOfScope(state: ProviderState, scope: string, person: Person): Record<string, unknown> {
  switch (scope) {
    case 'profile':
      return { name: person.name, picture: person.picture };
    case 'email':
      if (person.email === undefined) throw dataError();
      return state.switches.emailWithType
        ? { email: person.email, type: person.emailType ?? 'email' }
        : { email: person.email };
    case 'connected_accounts':
      return {
        connected_accounts: person.connectedAccounts
          .filter(({ type }) => type !== 'smart_contract_wallet')
          .map(({ type, identifier }) => ({ type, identifier })),
      };
    case 'erc_4337':
      return {
        erc_4337: person.wallets.map(({ nickname, address }) =>
          state.switches.walletShape === 'nickname'
            ? { nickname, address }
            : { type: 'smart_contract_wallet', identifier: address },
        ),
      };
    default:
      return {};
  }
}

function dataError() {
  return rollupError('UNAUTHORIZED', DATA_ERROR);
}
