import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { ConfigError } from './errors.js';

/** Environment variables as `process.env` gives them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Settings are frozen. */
export type DeepReadonly<T> = T extends object ? { readonly [Name in keyof T]: DeepReadonly<T[Name]> } : T;

/** Reads one setting at a time and collects every problem, naming the setting and never its value. */
export class SettingsReader {
  /** Every setting that was read, by name, with its default as text: the documentation is compared with it. */
  readonly known = new Map<string, { readonly fallback: string | undefined; readonly secret: boolean }>();
  readonly #problems = new Set<string>();
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  problem(text: string): void {
    this.#problems.add(text);
  }

  get production(): boolean {
    return this.optional('NODE_ENV') === 'production';
  }

  finish(): void {
    if (this.#problems.size > 0) throw new ConfigError([...this.#problems]);
  }

  optional(name: string): string | undefined {
    return this.#read(name);
  }

  text(name: string, fallback: string): string {
    return this.#read(name, fallback) ?? fallback;
  }

  /** `NAME`, or the content of the file that `NAME_FILE` names. */
  secret(name: string): string | undefined {
    const value = this.#read(name, undefined, true);
    const path = this.#value(`${name}_FILE`);
    if (path === undefined) return value;
    if (value !== undefined) {
      this.problem(`${name} and ${name}_FILE are both set; set one of them`);
    }
    try {
      return readFileSync(path, 'utf8').trim() || undefined;
    } catch {
      this.problem(`${name}_FILE names a file that cannot be read`);
      return undefined;
    }
  }

  required(name: string, secret = false): string | undefined {
    const value = secret ? this.secret(name) : this.optional(name);
    if (value === undefined) this.problem(`${name} is required`);
    return value;
  }

  list(name: string, fallback: readonly string[] = []): readonly string[] {
    const items = (this.#read(name, fallback.join(',') || undefined) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
    return items.length > 0 ? items : fallback;
  }

  integer(name: string, fallback: number, least: number, most: number): number {
    const value = this.#read(name, String(fallback));
    if (value === undefined) return fallback;
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    this.problem(`${name} must be a whole number from ${least} to ${most}`);
    return fallback;
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.oneOf<string>(name, fallback ? 'on' : 'off', ['on', 'off', 'true', 'false', '1', '0']);
    return value === 'on' || value === 'true' || value === '1';
  }

  oneOf<Choice extends string>(name: string, fallback: NoInfer<Choice>, allowed: readonly Choice[]): Choice {
    const value = this.text(name, fallback);
    const choice = allowed.find((candidate) => candidate === value);
    if (choice !== undefined) return choice;
    this.problem(`${name} must be one of ${allowed.join(', ')}`);
    return fallback;
  }

  /** A URL, which may hold a password, of one of these schemes. */
  url(name: string, schemes: readonly string[]): string | undefined {
    const value = this.secret(name);
    const scheme = /^(\w+):\/\/./.exec(value ?? '')?.[1];
    if (value !== undefined && !schemes.includes(scheme ?? '')) {
      this.problem(`${name} must start with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`);
    }
    return value;
  }

  /** IP addresses and CIDR blocks. */
  addresses(name: string, fallback: readonly string[]): readonly string[] {
    const entries = this.list(name, fallback);
    if (!entries.every(isAddressBlock)) {
      this.problem(`${name} must list addresses or CIDR blocks such as 10.0.0.0/8`);
    }
    return entries;
  }

  /** Plain http is for this machine only, and never in production. */
  isSafeOrigin({ protocol, hostname }: URL): boolean {
    const isLoopback = ['127.0.0.1', 'localhost', '[::1]'].includes(hostname);
    return protocol === 'https:' || (!this.production && protocol === 'http:' && isLoopback);
  }

  /** Exact origins, as browsers send them. */
  origins(name: string): readonly string[] {
    const origins = this.list(name);
    if (origins.some((origin) => URL.parse(origin)?.origin !== origin)) {
      this.problem(`${name} must list exact origins such as https://app.example.com`);
    }
    return origins;
  }

  #read(name: string, fallback?: string, secret = false): string | undefined {
    const known = this.known.get(name);
    this.known.set(name, { fallback: fallback ?? known?.fallback, secret: secret || known?.secret === true });
    return this.#value(name);
  }

  #value(name: string): string | undefined {
    const value = this.#env[name]?.trim();
    return value === '' ? undefined : value;
  }
}

function isAddressBlock(entry: string): boolean {
  const [address = '', bits, more] = entry.split('/');
  const width = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  if (more !== undefined || width < 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width);
}
