import { knownScopes } from '../../scope.js';
import type { EmulatorResponse } from '../rollup-id/response.js';
import type { AuthorizationRequest } from '../rollup-id/authorize.js';
import { type Html, html, page } from './html.js';
import type { Person } from '../rollup-id/people.js';
import type { ProviderState } from '../rollup-id/provider-state.js';

/** The consent screen: choice of person and scopes. */
export function consentPage(
  state: ProviderState,
  request: AuthorizationRequest,
  query: URLSearchParams,
  signedIn: string | undefined,
): EmulatorResponse {
  const first = state.people.find(({ sub }) => sub === signedIn) ?? state.people[0];
  const scopes = request.scopes.filter((scope) => scope !== 'openid');
  const people = state.people.map((person) => personChoice(person, person === first));
  return page(
    'Sign in to the example application',
    html`<p class="soft">It will send you back to <code>${request.redirectUri.origin}</code>.</p>
      <form method="post" action="/authorize">
        <input type="hidden" name="request" value="${query.toString()}" />
        <fieldset>
          <legend>Continue as</legend>
          <div class="rows">${people}</div>
        </fieldset>
        ${scopes.length === 0 ? '' : scopeChoices(scopes)}
        <div class="actions">
          <button class="primary" name="decision" value="approve">Allow</button>
          <button name="decision" value="cancel">Cancel</button>
        </div>
      </form>`,
  );
}

function personChoice(person: Person, checked: boolean): Html {
  return html`<label class="row">
    <input type="radio" name="person" value="${person.sub}" ${checked ? 'checked' : ''} />
    ${personRow(person)}
  </label>`;
}

/** A person's picture, name, email and number of accounts and wallets. */
export function personRow(person: Person): Html {
  const face =
    person.picture === undefined
      ? html`<i class="face"></i>`
      : html`<img class="face" alt="" src="${person.picture}" />`;
  const { connectedAccounts, wallets } = person;
  return html`${face}<span
      >${person.name ?? 'Someone without a name'}<small>${person.email ?? 'no email'}</small
      ><small>${countOf(connectedAccounts, 'account')}, ${countOf(wallets, 'wallet')}</small></span
    >`;
}

function countOf(things: readonly unknown[], name: string): string {
  return `${things.length} ${name}${things.length === 1 ? '' : 's'}`;
}

function scopeChoices(scopes: readonly string[]): Html {
  const rows = scopes.map((scope) => {
    const known = knownScopes.get(scope);
    return html`<label class="row">
      <input type="checkbox" name="scope" value="${scope}" checked />
      <span>${known?.title ?? scope}<small>${known?.description ?? ''}</small></span>
    </label>`;
  });
  return html`<fieldset>
    <legend>The application may</legend>
    <div class="rows">${rows}</div>
  </fieldset>`;
}
