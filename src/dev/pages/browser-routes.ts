import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  approveAs,
  approveSilently,
  AuthorizationError,
  cancelledCallback,
  parseAuthorizationRequest,
} from '../rollup-id/authorize.js';
import { readForm, urlOf } from '../rollup-id/request.js';
import { consentPage } from './consent-page.js';
import { callbackPage, homePage, errorPage } from './pages.js';
import type { ProviderState } from '../rollup-id/provider-state.js';
import { sendResponse } from '../rollup-id/response.js';

/** The session cookie: the `sub` of the person who signed in last, in place of Passport's session. */
const SESSION_COOKIE = 'rollup_id_person';

/** Adds the HTML routes. */
export function addPages(app: FastifyInstance, state: ProviderState): void {
  app.get('/', async (_request, reply) => sendResponse(reply, homePage(state)));
  app.get('/authorize', async (request, reply) => {
    state.calls.count('authorize');
    await withErrorPage(reply, async () => showConsent(state, request, reply));
  });
  app.post('/authorize', async (request, reply) => {
    const form = await readForm(request);
    await withErrorPage(reply, async () => submitConsent(state, form, reply));
  });
  app.get('/signout', async (_request, reply) => {
    await reply
      .header('set-cookie', `${SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax`)
      .redirect('/');
  });
  app.get('/app/callback', async (request, reply) => {
    await sendResponse(reply, callbackPage(urlOf(request), state.graphiqlUrl));
  });
}

async function showConsent(state: ProviderState, request: FastifyRequest, reply: FastifyReply) {
  const query = urlOf(request).searchParams;
  const authorization = parseAuthorizationRequest(state, query);
  const signedIn = readSession(state, request);
  const callback = approveSilently(state, authorization, signedIn);
  if (callback === undefined) await sendResponse(reply, consentPage(state, authorization, query, signedIn));
  else await reply.header('referrer-policy', 'no-referrer').redirect(callback);
}

async function submitConsent(state: ProviderState, form: URLSearchParams, reply: FastifyReply) {
  const authorization = parseAuthorizationRequest(state, new URLSearchParams(form.get('request') ?? ''));
  if (form.get('decision') !== 'approve') {
    await reply.redirect(cancelledCallback(authorization));
    return;
  }
  const person = state.people.find(({ sub }) => sub === form.get('person'));
  if (person === undefined) throw new AuthorizationError('No person was chosen');
  const callback = approveAs(state, authorization, person, form.getAll('scope'));
  const session = `${SESSION_COOKIE}=${encodeURIComponent(person.sub)}; Path=/; HttpOnly; SameSite=Lax`;
  await reply.header('set-cookie', session).redirect(callback);
}

async function withErrorPage(reply: FastifyReply, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof AuthorizationError)) throw error;
    await sendResponse(reply, errorPage(error.message, error.status));
  }
}

function readSession(state: ProviderState, request: FastifyRequest): string | undefined {
  const cookies = (request.headers.cookie ?? '').split('; ');
  const value = cookies.find((cookie) => cookie.startsWith(`${SESSION_COOKIE}=`))?.split('=')[1];
  return state.people.find(({ sub }) => encodeURIComponent(sub) === value)?.sub;
}
