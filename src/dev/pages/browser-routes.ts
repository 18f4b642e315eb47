import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  approveAs,
  approveSilently,
  AuthorizationRefused,
  cancelledCallback,
  readAuthorization,
} from '../rollup-id/authorize.js';
import { readForm } from '../rollup-id/form-body.js';
import { consentPage } from './consent-page.js';
import { callbackPage, homePage, refusedPage } from './pages.js';
import type { ProviderState } from '../rollup-id/provider-state.js';
import { originOf } from '../rollup-id/routes.js';
import { sendAnswer } from '../rollup-id/send-response.js';

/** Holds the `sub` of whoever signed in last in this browser, in place of Passport's session. */
const SESSION_COOKIE = 'rollup_id_person';

/** Adds the pages that people see. */
export function addPages(app: FastifyInstance, state: ProviderState): void {
  app.get('/', async (_request, reply) => await sendAnswer(reply, homePage(state)));
  app.get('/authorize', async (request, reply) => {
    state.calls.count('authorize');
    await orRefuse(reply, async () => await showConsent(state, request, reply));
  });
  app.post('/authorize', async (request, reply) => {
    const form = await readForm(request);
    await orRefuse(reply, async () => await decide(state, form, reply));
  });
  app.get('/signout', async (_request, reply) => {
    await reply
      .header('set-cookie', `${SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax`)
      .redirect('/');
  });
  app.get('/app/callback', async (request, reply) => {
    const url = new URL(request.url, originOf(request));
    await sendAnswer(reply, callbackPage(url.href, url.searchParams.has('error'), state.graphiqlUrl));
  });
}

async function showConsent(
  state: ProviderState,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const query = new URL(request.url, originOf(request)).searchParams;
  const asked = readAuthorization(state, query);
  const signedIn = signedInAs(state, request);
  const callback = approveSilently(state, asked, signedIn);
  if (callback === undefined) await sendAnswer(reply, consentPage(state, asked, query, signedIn));
  else await reply.header('referrer-policy', 'no-referrer').redirect(callback);
}

async function decide(state: ProviderState, form: URLSearchParams, reply: FastifyReply): Promise<void> {
  const asked = readAuthorization(state, new URLSearchParams(form.get('request') ?? ''));
  if (form.get('decision') !== 'approve') {
    await reply.redirect(cancelledCallback(asked));
    return;
  }
  const person = state.people.find(({ sub }) => sub === form.get('person'));
  if (person === undefined) throw new AuthorizationRefused('Nobody was chosen');
  const callback = approveAs(state, asked, person, form.getAll('scope'));
  const session = `${SESSION_COOKIE}=${encodeURIComponent(person.sub)}; Path=/; HttpOnly; SameSite=Lax`;
  await reply.header('set-cookie', session).redirect(callback);
}

async function orRefuse(reply: FastifyReply, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof AuthorizationRefused)) throw error;
    await sendAnswer(reply, refusedPage(error.message, error.status));
  }
}

function signedInAs(state: ProviderState, request: FastifyRequest): string | undefined {
  const cookies = (request.headers.cookie ?? '').split('; ');
  const value = cookies.find((cookie) => cookie.startsWith(`${SESSION_COOKIE}=`))?.split('=')[1];
  return state.people.find(({ sub }) => encodeURIComponent(sub) === value)?.sub;
}
