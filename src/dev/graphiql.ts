import { renderGraphiQL } from '@graphql-yoga/render-graphiql';

/** One prepared tab of GraphiQL. */
interface Tab {
  readonly query: string;
  readonly variables?: string;
  readonly headers?: string;
}

/** What the page is told about its surroundings. */
export interface GraphiqlOptions {
  readonly redirectUri: string;
  /** The embedded Rollup ID, when there is one. */
  readonly rollupIdUrl: string | undefined;
}

/** The page, complete in itself: editor, workers and styles are in the HTML, and nothing is fetched but /graphql. */
export function renderGraphiqlPage({ redirectUri, rollupIdUrl }: GraphiqlOptions): string {
  // The page reads `endpoint`, which its type lacks.
  const options = { title: 'rollup-accounts · GraphiQL', endpoint: '/graphql', shouldPersistHeaders: true };
  const html = renderGraphiQL({ ...options, defaultTabs: tabs(redirectUri) as [] });
  const link =
    rollupIdUrl === undefined ? '' : `<a href="${rollupIdUrl}" target="_blank">Embedded Rollup ID</a>`;
  const bar = `<nav class="flow"><b>rollup-accounts</b>
    <span>1 start a link, open its authorizationUrl · 2 link with the callback URL and linkToken · 3 put the access
    token into Headers and ask</span>${link}</nav>`;
  return html.replace('<body>', `<body>${STYLE}${bar}`);
}

const STYLE = `<style>
  body { display: flex; flex-direction: column; }
  #root { flex: 1; min-height: 0; }
  .flow { display: flex; gap: 1.5rem; padding: .6rem 1rem; font: 14px/1.4 system-ui, sans-serif;
    background: #1d2433; color: #dfe5f2; }
  .flow span { flex: 1; color: #aab4c8; }
  .flow a { color: #8ab4ff; }
</style>`;

const BEARER = JSON.stringify({ Authorization: 'Bearer <accessToken of step 2>' }, null, 2);

function tabs(redirectUri: string): Tab[] {
  const start = { redirectUri, scopes: ['openid', 'profile', 'email'] };
  const callback = { url: '<the complete callback URL>', linkToken: '<linkToken of step 1>' };
  return [
    { query: START, variables: JSON.stringify({ input: start }, null, 2) },
    { query: LINK, variables: JSON.stringify({ input: { callback } }, null, 2) },
    { query: ME, headers: BEARER },
    { query: RENEW, headers: BEARER },
    { query: UNLINK, variables: JSON.stringify({ accountId: '<id of step 3>' }, null, 2), headers: BEARER },
  ];
}

const START = `# 1. Begin a link. Open the authorizationUrl in a new tab, choose who you are, and copy the
#    URL that you are sent back to.
mutation StartLink($input: StartRollupLinkInput!) {
  startRollupLink(input: $input) {
    authorizationUrl
    linkToken
    expiresAt
    userErrors { code field message }
  }
}
`;

const LINK = `# 2. Complete it: paste the callback URL and the linkToken of step 1 into the variables.
mutation Link($input: LinkRollupAccountInput!) {
  linkRollupAccount(input: $input) {
    isNewUser
    user { id name email }
    accessToken
    accessTokenExpiresAt
    userErrors { code field message }
  }
}
`;

const ME = `# 3. Who is calling, and what did they consent to? Paste the access token into the headers.
query Me {
  me {
    id
    name
    email
    picture
    rollupAccounts { id sub status scopes { name title } accessTokenExpiresAt }
  }
  consentedScopes { name title description unlocks }
}
`;

const RENEW = `# 4. A fresh access token; the provider is asked only when the stored one is near its end.
mutation Renew {
  renewAccessToken(input: {}) {
    accessToken
    accessTokenExpiresAt
    userErrors { code message }
  }
}
`;

const UNLINK = `# 5. End the link: the stored tokens are erased.
mutation Unlink($accountId: ID!) {
  unlinkRollupAccount(input: { accountId: $accountId }) {
    unlinkedAccountId
    userErrors { code message }
  }
}
`;
