/** The URL of the first argument of `fetch`. */
export function urlOf(input: string | URL | Request): string {
  if (typeof input === 'string') return input;
  return 'href' in input ? input.href : input.url;
}
