import { isIPv6 } from 'node:net';

/** One part of a connection URI by the name of its parameter, percent-encoded as it is written. */
export type UriEntry = readonly [name: string, value: string];

const SCHEME = /^postgres(?:ql)?:\/\/(?=.)/;

const UNENCODED =
  'DATABASE_URL is not percent-encoded: in user, password, database and parameters @ is %40 and # is %23; in user and password / is %2F, ? is %3F and % is %25';

export const SEVERAL_HOSTS = 'DATABASE_URL names several hosts: name one, or a proxy that finds the primary';

/**
 * Takes a connection URI apart (PostgreSQL manual, 34.1.1.2), in the order of its text: `user`, `password`, `host`, `port`
 * and `dbname` where they are not empty, and its parameters. Nothing is decoded. A problem when the text can be read in
 * two ways, as it can with a password that was not encoded.
 */
export function splitUri(text: string): readonly UriEntry[] | { readonly problem: string } {
  const problem = findMistake(text);
  if (problem !== undefined) return { problem };
  const [, authority = '', database = '', query = ''] =
    /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(text.replace(SCHEME, '')) ?? [];
  if (database.includes('/')) return { problem: 'DATABASE_URL must end with one name: in it / is %2F' };
  const at = authority.indexOf('@');
  const host = splitHost(authority.slice(at + 1));
  if ('problem' in host) return host;
  const [user, password] = splitOnce(authority.slice(0, Math.max(at, 0)), ':');
  const parts = { user, password, ...host, dbname: database };
  return [
    ...Object.entries(parts).filter(([, value]) => value !== ''),
    ...(query === '' ? [] : query.split('&')).map((pair) => splitOnce(pair, '=')),
  ];
}

/** What cannot be told from the parts: they would be wrong, and pieces of a password among them. */
function findMistake(text: string): string | undefined {
  if (!SCHEME.test(text)) return 'DATABASE_URL must start with postgresql:// or postgres://';
  if (/[\s\p{Cc}]/u.test(text)) return 'DATABASE_URL has white space in it: write %20 for a space';
  const rest = text.replace(SCHEME, '');
  const [authority = ''] = rest.split(/[/?#]/, 1);
  const lastAt = rest.lastIndexOf('@');
  const isMisread = lastAt > authority.length || lastAt !== rest.indexOf('@') || rest.includes('#');
  return isMisread || !isDecodable(rest) ? UNENCODED : undefined;
}

/** No value has a control character: it comes from a `%` that is a part of a password. */
function isDecodable(text: string): boolean {
  try {
    return !/\p{Cc}/u.test(decodeURIComponent(text));
  } catch {
    return false;
  }
}

function splitHost(text: string): { host: string; port: string } | { problem: string } {
  if (text.includes(',')) return { problem: SEVERAL_HOSTS };
  const [match, address, name = '', port = ''] =
    /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text) ?? [];
  if (match === undefined || (address !== undefined && !isIPv6(decodeURIComponent(address)))) {
    return {
      problem: 'DATABASE_URL must have an IPv6 address in brackets, such as [::1], and nothing else there',
    };
  }
  return { host: address ?? name, port };
}

function splitOnce(text: string, separator: string): [string, string] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + separator.length)];
}
