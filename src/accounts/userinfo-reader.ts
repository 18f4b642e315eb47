import {
  GrantDeadError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SubjectMismatchError,
  TokenRejectedError,
} from '../errors.js';
import type { SqlEntityManager } from '@mikro-orm/sql';
import type { JsonObject } from '../json.js';
import { consentedClaims, readPersonClaims } from '../rollup/id-token.js';
import type { RollupClient } from '../rollup/rollup-client.js';
import { readUserinfo, type Userinfo } from '../rollup/userinfo.js';
import type { FreshAccessToken } from '../token-set.js';
import type { TokenVault } from '../vault/token-vault.js';
import type { AccountRecord } from './account.repository.js';
import { settleUserinfo } from './missed-userinfo.repository.js';
import { SingleFlight } from '../single-flight.js';

export type { Userinfo };

/** What reading userinfo depends on. */
export interface UserinfoReaderDeps {
  /** Forked for every statement. */
  readonly em: SqlEntityManager;
  readonly client: Pick<RollupClient, 'userinfo'>;
  readonly vault: Pick<TokenVault, 'accessToken' | 'endGrant' | 'states'>;
  /** Receives the error of every failed call. */
  readonly onFailure: (accountId: string, error: unknown) => void;
}

const RETRY_AFTER_MS = 1_000;

/** Reads userinfo live: a single-flight per account and token, without a cache. */
export class UserinfoReader {
  readonly #inFlight = new SingleFlight<Userinfo>();
  readonly #deps: UserinfoReaderDeps;

  constructor(deps: UserinfoReaderDeps) {
    this.#deps = deps;
  }

  /**
   * What userinfo says of an account. What a sign-in missed of it is stored with the user.
   *
   * Throws `ReauthenticationRequiredError` when the user revoked the grant, which ends it here too; every other failure
   * is a `ProviderUnavailableError` and changes nothing. Throws what having an access token throws.
   */
  async read(account: AccountRecord): Promise<Userinfo> {
    const token = await this.#deps.vault.accessToken(account.id);
    return this.#inFlight.run(`${account.id} ${token.generation}`, () => this.#request(account, token));
  }

  async #request(account: AccountRecord, token: FreshAccessToken): Promise<Userinfo> {
    const claims = await this.#claims(account, token);
    if (account.userinfoDueAt) await this.#settle(account, claims);
    return readUserinfo(claims);
  }

  async #settle(account: AccountRecord, claims: JsonObject): Promise<void> {
    const { em, vault } = this.#deps;
    const [state] = await vault.states(em.fork(), [account.id]);
    await settleUserinfo(em.fork(), account, consentedClaims(readPersonClaims(claims), state?.scopes ?? []));
  }

  async #claims(account: AccountRecord, { accessToken, generation }: FreshAccessToken): Promise<JsonObject> {
    const { client, vault, onFailure } = this.#deps;
    const { id, sub } = account;
    try {
      const claims = await client.userinfo(accessToken);
      // The response must be about the same subject (OpenID Connect Core §5.3.2).
      if (claims['sub'] !== sub) throw new SubjectMismatchError();
      return claims;
    } catch (cause) {
      onFailure(id, cause);
      if (cause instanceof GrantDeadError) {
        if (await vault.endGrant(id, generation)) throw new ReauthenticationRequiredError({ cause });
        // The response was about older tokens: there was a new link or a refresh meanwhile.
        return this.#claims(account, await vault.accessToken(id));
      }
      const isOfThisResponse = cause instanceof TokenRejectedError || cause instanceof SubjectMismatchError;
      throw isOfThisResponse ? new ProviderUnavailableError(RETRY_AFTER_MS, { cause }) : cause;
    }
  }
}
