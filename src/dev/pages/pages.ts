import { COUNTED_CALLS } from '../instruments/call-counts.js';
import { personRow } from './consent-page.js';
import { html, page } from './html.js';
import type { ProviderState } from '../rollup-id/provider-state.js';

/** The error page of an authorization request that does not redirect back to the application. */
export function errorPage(message: string, status: number) {
  return page(
    'This sign-in cannot go on',
    html`<p role="alert">${message}</p>
      <p class="soft">Rollup ID does not tell the application. Go back and begin again.</p>`,
    { status },
  );
}

/** The provider's home page: people, call counts and settings for an application. */
export function homePage(state: ProviderState) {
  const { calls, people, url, clientId, graphiqlUrl } = state;
  const counts = COUNTED_CALLS.map(
    (name) =>
      html`<tr>
        <td>${name}</td>
        <td>${calls[name]}</td>
      </tr>`,
  );
  return page(
    'A Rollup ID of your own',
    html`<p>
        It stands in for Passport and Galaxy while you develop: same endpoints, same tokens, same errors, no
        network and no real accounts.
      </p>
      ${graphiqlUrl === undefined ? '' : html`<p><a href="${graphiqlUrl}">Open GraphiQL</a> to begin a link.</p>`}
      <h2>People</h2>
      <div class="rows">${people.map((person) => html`<div class="row">${personRow(person)}</div>`)}</div>
      <p><a href="/signout">Sign out</a> to be asked again who you are.</p>
      <h2>Calls so far</h2>
      <table>
        ${counts}
      </table>
      <h2>For an application</h2>
      <p>
        Issuer <code>${url}</code><br />Client id <code>${clientId}</code><br />Galaxy
        <code>${url}/graphql</code>
      </p>
      <p><a href="/.well-known/openid-configuration">Discovery document</a></p>`,
  );
}

/** The example application's redirect URI: shows the callback URL to pass to the API. */
export function callbackPage(url: URL, graphiqlUrl?: string) {
  const cancelled = url.searchParams.has('error');
  const graphiql = graphiqlUrl === undefined ? html`GraphiQL` : html`<a href="${graphiqlUrl}">GraphiQL</a>`;
  return page(
    cancelled ? 'You cancelled' : 'Almost there',
    html`<p>
        Rollup ID sent you back to this address. Copy all of
        it${cancelled ? ': it tells the application that you did.' : ' and use it within two minutes.'}
      </p>
      <textarea readonly aria-label="Callback URL" spellcheck="false">${url.href}</textarea>
      <h2>How to go on</h2>
      <p>
        In ${graphiql}, run this mutation with the address as <code>url</code> and the
        <code>linkToken</code> that <code>startRollupLink</code> gave you:
      </p>
      <pre>${MUTATION}</pre>`,
    { script: REMOVE_CODE },
  );
}

/** Removes the code from the address bar and the history. */
const REMOVE_CODE = "history.replaceState(null, '', location.pathname)";

const MUTATION = `mutation ($url: String!, $linkToken: String!) {
  linkRollupAccount(
    input: { callback: { url: $url, linkToken: $linkToken } }
  ) {
    user { id name }
    accessToken
    userErrors { code message }
  }
}`;
