import { type Answer, json } from './response.js';
import type { Person } from './people.js';
import { knownError, ProviderError, unknownError } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { DATA_ERROR, scopesOf } from './token-endpoint.js';
import { decodeToken, verifyToken } from './tokens.js';

const METHOD = 'getUserInfo';
const DATA_SCOPES = new Set(['email', 'connected_accounts', 'erc_4337']);

/** Answers `/userinfo`: live data by the token's scopes, in their order, `sub` last. `issuer` is the origin that was called. */
export async function answerUserinfo(
  state: ProviderState,
  issuer: string,
  authorization: string | undefined,
): Promise<Answer> {
  const token = bearerOf(authorization);
  const { aud, sub } = decodeToken(token, METHOD);
  const client = Array.isArray(aud) ? aud[0] : aud;
  if (client === undefined || client === '') {
    throw new ProviderError(knownError('BAD_REQUEST', 'missing client id in the aud claim'));
  }
  if (sub === undefined || !sub.startsWith('urn:rollupid:identity/')) {
    throw new ProviderError(knownError('BAD_REQUEST', 'missing identity in the sub claim'));
  }
  const { scope } = await verifyToken(state, token, { issuer });
  const granted = client === state.clientId && !state.grants.isRevoked(sub);
  const person = state.people.find((candidate) => candidate.sub === sub);
  const claims: Record<string, unknown> = {};
  for (const name of scopesOf(scope, METHOD)) {
    if (DATA_SCOPES.has(name) && (!granted || person === undefined)) throw dataError();
    Object.assign(claims, person === undefined ? {} : claimsBehind(state, name, person));
  }
  return json({ ...claims, sub });
}

function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined) {
    throw new ProviderError(knownError('UNAUTHORIZED', 'No access token provided'));
  }
  const [scheme, token, ...rest] = authorization.split(' ');
  if (scheme !== 'Bearer' || token === undefined || token === '' || rest.length > 0) {
    throw new ProviderError(unknownError());
  }
  return token;
}

function claimsBehind(state: ProviderState, scope: string, person: Person): Record<string, unknown> {
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

function dataError(): ProviderError {
  return new ProviderError(knownError('UNAUTHORIZED', DATA_ERROR));
}
