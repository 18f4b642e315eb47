import { randomBytes } from 'node:crypto';

/** An account linked to an identity: Rollup ID's name of its type, and the alias it was linked with. */
export interface LinkedAccount {
  type: string;
  identifier: string;
}

/** A smart contract wallet of an identity. */
export interface Wallet {
  nickname: string;
  address: string;
}

/** A user of the provider. Read at each call, so a changed field shows in the next response, as at Rollup ID. */
export interface Person {
  /** The identity URN, `urn:rollupid:identity/0x` and 48 hexadecimal digits. */
  readonly sub: string;
  name?: string;
  /** A `data:` URI, so that nothing is fetched from the network. */
  picture?: string;
  email?: string;
  /** The kind of account behind the email, such as `google`. */
  emailType?: string;
  /** Userinfo omits `smart_contract_wallet` entries, as Rollup ID does for a user who shared all accounts. */
  connectedAccounts: LinkedAccount[];
  wallets: Wallet[];
  /** The accounts that Galaxy shows to applications. */
  publicAccounts: LinkedAccount[];
  /** Galaxy's display name; `name` when absent. */
  displayName?: string;
  /** Galaxy's picture; `picture` when absent. */
  pfp?: { image: string; isToken?: boolean };
}

/** Creates a person with a new identity and the given data. */
export function createPerson(data: Partial<Person> = {}): Person {
  return {
    sub: `urn:rollupid:identity/0x${randomBytes(24).toString('hex')}`,
    connectedAccounts: [],
    wallets: [],
    publicAccounts: [],
    ...data,
  };
}

/** Three people for demonstrations: with all data, with the usual data and with none. */
export function demoPeople(): Person[] {
  return [mira(), tomas(), emptyPerson()];
}

function mira(): Person {
  const eth = { type: 'eth', identifier: '0x8ba1f109551bD432803012645Ac136ddd64DBA72' };
  const github = { type: 'github', identifier: 'mira-okafor' };
  const twitter = { type: 'twitter', identifier: 'miraokafor' };
  const image = portrait('MO', '#7c3aed', '#ec4899');
  return {
    sub: 'urn:rollupid:identity/0x3f9c1e7a5b2d48f06c91aa37e4d5b8092f6c71de8a04b3f5',
    name: 'Mira Okafor',
    picture: image,
    email: 'mira@example.com',
    emailType: 'google',
    connectedAccounts: [
      eth,
      { type: 'smart_contract_wallet', identifier: '0x52908400098527886E0F7030069857D2E4169EE7' },
      { type: 'google', identifier: 'mira@example.com' },
      github,
      twitter,
      { type: 'microsoft', identifier: 'mira.okafor@example.net' },
      { type: 'apple', identifier: 'mira.o@example.org' },
      { type: 'discord', identifier: 'mira.plays@example.com' },
      { type: 'email', identifier: 'hello@mira.example' },
      { type: 'webauthn', identifier: "Mira's laptop" },
    ],
    wallets: [
      { nickname: 'Game wallet', address: '0x52908400098527886E0F7030069857D2E4169EE7' },
      { nickname: 'Savings', address: '0xde709f2102306220921060314715629080e2fb77' },
    ],
    publicAccounts: [eth, github, twitter],
    displayName: 'mira.eth',
    pfp: { image, isToken: true },
  };
}

function tomas(): Person {
  const google = { type: 'google', identifier: 'tomas.lindqvist@example.com' };
  const github = { type: 'github', identifier: 'tlindqvist' };
  return {
    sub: 'urn:rollupid:identity/0xb84d02f6c3e95a17d0287be6914fca3305d8e76b1f20c94a',
    name: 'Tomás Lindqvist',
    picture: portrait('TL', '#0284c7', '#10b981'),
    email: 'tomas.lindqvist@example.com',
    emailType: 'google',
    connectedAccounts: [google, github],
    wallets: [{ nickname: 'Main', address: '0x27b1fdb04752bbc536007a920d24acb045561c26' }],
    publicAccounts: [github],
  };
}

function emptyPerson(): Person {
  return createPerson({ sub: 'urn:rollupid:identity/0x07aa6e18f3c240b95d71e0fc82964b3ed15c7a80f92be634' });
}

function portrait(initials: string, from: string, to: string): string {
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">` +
    `<linearGradient id="g" x2="1" y2="1"><stop stop-color="${from}"/><stop offset="1" stop-color="${to}"/></linearGradient>` +
    `<rect width="96" height="96" fill="url(#g)"/>` +
    `<text x="48" y="60" font-family="sans-serif" font-size="36" fill="#fff" text-anchor="middle">${initials}</text></svg>`;
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;
}
