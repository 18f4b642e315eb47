import { loadEditor, NOT_INSTALLED } from './editor.js';

/** A self-contained page: editor, workers and styles are in the HTML, only /graphql is fetched. */
export async function renderGraphiqlPage(redirectUri: string, rollupIdUrl?: string): Promise<string> {
  const renderGraphiQL = await loadEditor();
  if (renderGraphiQL === undefined) return NOT_INSTALLED;
  // `endpoint` is read, but missing in the type of the options.
  const options = { title: 'rollup-accounts · GraphiQL', endpoint: '/graphql', shouldPersistHeaders: true };
  const html = renderGraphiQL({ ...options, defaultTabs: tabs(redirectUri) });
  const link =
    rollupIdUrl === undefined ? '' : `<a href="${rollupIdUrl}" target="_blank">Embedded Rollup ID</a>`;
  const bar = `<nav class="flow"><b>rollup-accounts</b>
    <span>1 start a link, open its authorizationUrl · 2 link with the callback URL and linkToken · 3 put the access
    token into Headers and ask</span>${link}</nav>`;
  return html.replace(TITLE, () => `${VIEWPORT}${TITLE}`).replace(ROOT, () => `${STYLE}${bar}${ROOT}`);
}

const TITLE = '<title>';
const VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1" />';
const ROOT = '<div id="root"></div>';

const STYLE = `<style>
  body { display: flex; flex-direction: column; height: 100dvh; margin: 0; overflow: hidden; }
  #root { flex: 1; min-height: 0; height: auto; width: 100%; }
  #root .graphiql-container { height: 100%; width: 100%; }
  .flow { display: flex; gap: 1.5rem; padding: .6rem 1rem; font: 14px/1.4 system-ui, sans-serif;
    background: #1d2433; color: #dfe5f2; }
  .flow span { flex: 1; color: #aab4c8; }
  .flow a { padding: .8rem 0; margin: -.8rem 0; color: #8ab4ff; }
  @media (max-width: 40rem) {
    .flow { flex-wrap: wrap; justify-content: space-between; gap: .5rem; }
    .flow span { order: 1; flex-basis: 100%; font-size: 12px; }
    /* The response below the editor, not beside it. */
    .graphiql-sessions > div:last-child { flex-direction: column; min-height: 0; }
    .graphiql-horizontal-drag-bar, .graphiql-logo { display: none; }
  }
</style>`;

const BEARER = JSON.stringify({ Authorization: 'Bearer <accessToken of step 2>' }, null, 2);

function tabs(redirectUri: string) {
  return [
    { query: startLink(redirectUri) },
    { query: LINK },
    { query: ME, headers: BEARER },
    { query: UNLOCKED, headers: BEARER },
    { query: RENEW, headers: BEARER },
    { query: UNLINK, headers: BEARER },
  ];
}

const startLink = (redirectUri: string): string => `# 1. Begin a link. Open its authorizationUrl in a new tab,
#    choose who you are, copy the address you come back to.
mutation StartLink {
  startRollupLink(
    input: {
      redirectUri: ${JSON.stringify(redirectUri)}
      scopes: [
        "openid", "profile", "email"
        "connected_accounts", "erc_4337"
      ]
    }
  ) {
    authorizationUrl
    linkToken
    expiresAt
    userErrors { code field message }
  }
}
`;

const LINK = `# 2. Complete it with that address and the linkToken of step 1.
mutation Link {
  linkRollupAccount(
    input: {
      callback: {
        url: "<the complete callback URL>"
        linkToken: "<linkToken of step 1>"
      }
    }
  ) {
    isNewUser
    user { id name email }
    accessToken
    accessTokenExpiresAt
    userErrors { code field message }
  }
}
`;

const ME = `# 3. Who is calling, and what did they consent to?
#    Put the access token of step 2 into the headers below.
query Me {
  me {
    id
    name
    email
    picture
    rollupAccounts {
      id
      sub
      status
      scopes { name title }
      accessTokenExpiresAt
    }
  }
  consentedScopes { name title description unlocks }
}
`;

const UNLOCKED = `# 4. What the consent unlocks, live from Galaxy and userinfo.
query Unlocked {
  me {
    rollupAccounts {
      profile { displayName pfp { image isToken } }
      publicAccounts { type identifier }
      authorizedApps { title authorizedAt }
      galaxyFreshness { ageSeconds stale }
      connectedAccounts { type identifier }
      smartContractWallets { nickname address }
    }
  }
}
`;

const RENEW = `# 5. A fresh access token. Rollup ID is asked only when the
#    stored one is near its end.
mutation Renew {
  renewAccessToken(input: {}) {
    accessToken
    accessTokenExpiresAt
    userErrors { code message }
  }
}
`;

const UNLINK = `# 6. End the link: the stored tokens are erased.
mutation Unlink {
  unlinkRollupAccount(input: { accountId: "<id of step 3>" }) {
    unlinkedAccountId
    userErrors { code message }
  }
}
`;
