import type { SqlEntityManager } from '@mikro-orm/sql';
import { loadConfig } from '../../src/config.js';
import {
  type AppError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  SubjectMismatchError,
  TokenRejectedError,
} from '../../src/errors.js';
import type { TokenSet } from '../../src/token-set.js';
import { CircuitBreaker } from '../../src/vault/circuit-breaker.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import type { VerifyTokens } from '../../src/vault/refresh-deps.js';
import { refreshLeaseRepository } from '../../src/vault/refresh-lease.repository.js';
import { putSealed } from '../../src/vault/sealed-tokens.repository.js';
import { createTokenCipher } from '../../src/vault/token-cipher.js';
import { TokenRefresher } from '../../src/vault/token-refresher.js';
import { eventually } from '../kit/eventually.js';
import { randomKey } from '../kit/server-env.js';
import { DATABASE_AHEAD_MS, useVaultDatabase } from '../kit/vault-database.js';

const ACCOUNT = '00000000-0000-4000-8000-00000000000a';
const MINE = '00000000-0000-4000-8000-000000000001';
const NOW = Date.UTC(2027, 0, 1);

const REGISTRATION = { issuer: 'https://issuer.example', clientId: 'client' };
const ring = parseKeyRing(randomKey('k1'));
const cipher = createTokenCipher(ring, REGISTRATION);
describe('the refresher', () => {
  const database = useVaultDatabase();
  const em = (): SqlEntityManager => database.em();
  /** Another process claims the lease, and is gone before it stores a response. */
  const leaveLease = () =>
    em().execute(
      "update sealed_tokens set lease_id = account_id, lease_expires_at = clock_timestamp() - interval '1 second'",
    );
  const setLearned = (rotates: boolean) =>
    em().execute('update sealed_tokens set refresh_token_rotates = ?', [rotates]);

  test.each<[string, Record<string, string>, number, boolean]>([
    ['a minute by default', {}, 60_000, false],
    ['a minute by default', {}, 59_999, true],
    ['as long as the setting says', { ACCESS_TOKEN_MARGIN_SECONDS: '600' }, 600_000, false],
    ['as long as the setting says', { ACCESS_TOKEN_MARGIN_SECONDS: '600' }, 599_999, true],
    ['nothing with 0', { ACCESS_TOKEN_MARGIN_SECONDS: '0' }, 1, false],
    ['nothing with 0', { ACCESS_TOKEN_MARGIN_SECONDS: '0' }, 0, true],
  ])(
    'the margin before the end of an access token is %s (%j, %d ms: refreshed %s)',
    async (_title, env, leftMs, refreshed) => {
      const { refresher, calls, link } = startRefresher(env);
      await link(leftMs);
      expect(await resultOf(refresher)).toBe(refreshed ? 'refreshed' : 'linked');
      expect(calls()).toBe(refreshed ? 1 : 0);
    },
  );

  describe('an attempt whose response was lost with its process', () => {
    test.each<[string, Record<string, string>, { learned: boolean; again: boolean }]>([
      ['is made again until a rotation was seen', {}, { learned: false, again: true }],
      ['is not made again after a rotation', {}, { learned: true, again: false }],
      ['is made again', { REFRESH_TOKEN_ROTATION: 'never' }, { learned: true, again: true }],
      ['is not made again', { REFRESH_TOKEN_ROTATION: 'always' }, { learned: false, again: false }],
    ])('%s (%j)', async (_title, env, { learned, again }) => {
      const { refresher, calls, link } = startRefresher(env);
      await link(0);
      await setLearned(learned);
      await leaveLease();
      expect(await resultOf(refresher)).toBe(again ? 'refreshed' : 'REAUTHENTICATION_REQUIRED');
      expect(calls()).toBe(again ? 1 : 0);
    });
  });

  describe('what the row says of the rotation after a response', () => {
    const [rotated, same] = ['another refresh token', 'refresh token'];
    test.each<[string, { before: boolean; refreshToken?: string; after: boolean }]>([
      ['auto', { before: false, refreshToken: rotated, after: true }],
      ['auto', { before: false, refreshToken: same, after: false }],
      ['auto', { before: false, after: false }],
      ['auto', { before: true, after: true }],
      ['never', { before: true, refreshToken: rotated, after: false }],
      ['always', { before: false, after: true }],
    ])('with %s: %j', async (rotation, { before, refreshToken, after }) => {
      const { refresher, link } = startRefresher({ REFRESH_TOKEN_ROTATION: rotation }, { refreshToken });
      await link(0);
      await setLearned(before);
      await refresher.accessToken(ACCOUNT);
      expect(await em().execute('select refresh_token_rotates as after from sealed_tokens')).toEqual([
        { after },
      ]);
    });
  });

  describe('a lease that another process claimed and left after the row was read', () => {
    test('is taken over', async () => {
      const { refresher, calls, link } = startRefresher(
        { REFRESH_TOKEN_ROTATION: 'never' },
        { afterRead: leaveLease },
      );
      await link(0);
      expect(await resultOf(refresher)).toBe('refreshed');
      expect(calls()).toBe(1);
    });

    test('is not taken over when the provider rotates', async () => {
      const { refresher, calls, link } = startRefresher(
        { REFRESH_TOKEN_ROTATION: 'always' },
        { afterRead: leaveLease },
      );
      await link(0);
      expect(await resultOf(refresher)).toBe('REAUTHENTICATION_REQUIRED');
      expect(calls()).toBe(0);
    });
  });

  test.each([
    ['another issuer', { issuer: 'https://another.example' }],
    ['another client', { clientId: 'another' }],
  ])('VLT-03 tokens of %s rest: nobody is asked, and they come back', async (_title, other) => {
    const { refresher, calls } = startRefresher({}, { registration: { ...REGISTRATION, ...other } });
    await putTokens(0, 'of ours');
    const before = await em().execute('select * from sealed_tokens');
    expect(await resultOf(refresher)).toBe('REAUTHENTICATION_REQUIRED');
    expect(calls()).toBe(0);
    expect(await em().execute('select * from sealed_tokens')).toEqual(before);
    expect(await resultOf(startRefresher({}).refresher)).toBe('refreshed');
  });

  test('a claim that was stored and not acknowledged is released, and nobody is asked', async () => {
    const lost = new Error('connection lost');
    const { refresher, calls, link } = startRefresher({}, { afterClaim: () => Promise.reject(lost) });
    await link(0);
    await expect(refresher.accessToken(ACCOUNT)).rejects.toBe(lost);
    await eventually(async () => {
      expect(await em().execute('select lease_id as lease from sealed_tokens')).toEqual([{ lease: null }]);
    });
    expect(calls()).toBe(0);
  });

  describe('while the provider is asked', () => {
    const outage = async (): Promise<never> => {
      throw new ProviderUnavailableError(0);
    };
    const dead = async (): Promise<never> => {
      throw new GrantDeadError();
    };
    const misconfigured = async (): Promise<never> => {
      throw new ProviderMisconfiguredError();
    };
    const response = async (): Promise<TokenSet> => expiringIn(3_600_000, 'refreshed');
    const nothing = async (): Promise<void> => undefined;
    const relink = (): Promise<void> => putTokens(3_600_000, 'relinked');
    const unlink = (): Promise<unknown> => em().execute('delete from sealed_tokens');
    const endGrant = (): Promise<unknown> => refreshLeaseRepository(em(), REGISTRATION).markDead(ACCOUNT, 1);

    test.each<[string, number, () => Promise<unknown>, () => Promise<TokenSet>, string]>([
      ['nothing happens, and it is down: the token serves until its end', 1, nothing, outage, 'linked'],
      [
        'nothing happens, and it is down: no token serves after its end',
        0,
        nothing,
        outage,
        'PROVIDER_UNAVAILABLE',
      ],
      [
        'nothing happens, and it rejects us: the token serves until its end',
        1,
        nothing,
        misconfigured,
        'linked',
      ],
      ['nothing happens, and it rejects us', 0, nothing, misconfigured, 'PROVIDER_MISCONFIGURED'],
      ['nothing happens, and it ends the grant', 1, nothing, dead, 'REAUTHENTICATION_REQUIRED'],
      ['a relink comes before a response', 1, relink, response, 'relinked'],
      ['a relink comes before an outage', 0, relink, outage, 'relinked'],
      ['a relink comes before the end of the earlier grant', 0, relink, dead, 'relinked'],
      ['an unlink comes before a response', 1, unlink, response, 'ACCOUNT_NOT_FOUND'],
      ['an unlink comes before an outage', 1, unlink, outage, 'ACCOUNT_NOT_FOUND'],
      ['an unlink comes before the end of the grant', 1, unlink, dead, 'ACCOUNT_NOT_FOUND'],
      ['the grant ends before a response', 1, endGrant, response, 'REAUTHENTICATION_REQUIRED'],
      ['the grant ends before an outage', 1, endGrant, outage, 'REAUTHENTICATION_REQUIRED'],
    ])('%s', async (_title, leftMs, meanwhile, answer, expected) => {
      const { refresher, calls, link } = startRefresher(
        {},
        {
          answer: async () => {
            await meanwhile();
            return answer();
          },
        },
      );
      await link(leftMs);
      expect(await resultOf(refresher)).toBe(expected);
      expect(calls()).toBe(1);
    });

    test.each([
      ['an outage counts as a failure', outage, { failures: 1, pauses: true }],
      ['a rejection of this server touches no account', misconfigured, { failures: 0, pauses: false }],
    ])('%s, and leaves no lease', async (_title, answer, row) => {
      const { refresher, link } = startRefresher({}, { answer });
      await link(1);
      await refresher.accessToken(ACCOUNT);
      expect(
        await em().execute(
          `select status, generation, lease_id as "leaseId", failure_count as failures,
           coalesce(retry_at > clock_timestamp(), false) as pauses from sealed_tokens`,
        ),
      ).toEqual([{ status: 'ACTIVE', generation: 1, leaseId: null, ...row }]);
    });
  });

  describe('VLT-114 a response that does not verify', () => {
    const away = new ProviderUnavailableError(0);
    const unknownKey = new ProviderUnavailableError(0, { cause: new TokenRejectedError('unknown key') });
    const bad = new TokenRejectedError('signature');
    const row = async () => {
      const [found] = await em().execute<{ kept: boolean; failures: number; status: string }[]>(
        'select pending_response is not null as kept, failure_count as failures, status from sealed_tokens',
      );
      return found;
    };
    /** A refresher whose responses fail in turn, and then verify; each look at the row comes after the back-off. */
    const start = async (failures: Error[]) => {
      const { refresher, calls, link } = startRefresher(
        { REFRESH_TOKEN_ROTATION: 'always' },
        {
          refreshToken: 'rotated',
          verify: async (response) => {
            const failure = failures.shift();
            if (failure) throw failure;
            return { ...expiringIn(3_600_000, response.accessToken), refreshToken: response.refreshToken };
          },
        },
      );
      await link(0);
      const look = async (): Promise<string> => {
        await em().execute('update sealed_tokens set retry_at = null');
        return resultOf(refresher);
      };
      return { calls, look };
    };

    test.each([
      ['the keys are away', away],
      ['its key is not published yet', unknownKey],
    ])('because %s is kept, and verified later without another call', async (_title, failure) => {
      const { calls, look } = await start([failure, failure]);
      expect([await look(), await row()]).toEqual(['PROVIDER_UNAVAILABLE', { kept: true, ...active(1) }]);
      expect([await look(), await row()]).toEqual(['PROVIDER_UNAVAILABLE', { kept: true, ...active(2) }]);
      expect([await look(), await row()]).toEqual(['refreshed', { kept: false, ...active(0) }]);
      expect(calls()).toBe(1);
    });

    test('because the keys are away is kept however long that takes', async () => {
      const { calls, look } = await start(Array.from({ length: 20 }, () => away));
      for (let count = 0; count < 20; count += 1) await look();
      expect([await look(), calls()]).toEqual(['refreshed', 1]);
    });

    test('because its key is never published is dropped in the end, and the provider is asked again', async () => {
      const { calls, look } = await start(Array.from({ length: 6 }, () => unknownKey));
      for (let count = 1; count <= 5; count += 1) await look();
      expect([await row(), calls()]).toEqual([{ kept: true, ...active(5) }, 1]);
      await look();
      expect([await row(), calls()]).toEqual([{ kept: false, ...active(6) }, 1]);
      expect([await look(), calls()]).toEqual(['refreshed', 2]);
    });

    test('and never will is not kept', async () => {
      const { calls, look } = await start([bad]);
      expect([await look(), await row()]).toEqual(['PROVIDER_UNAVAILABLE', { kept: false, ...active(1) }]);
      expect([await look(), calls()]).toEqual(['refreshed', 2]);
    });

    test('and never will is dropped when that shows later', async () => {
      const { look } = await start([away, bad]);
      await look();
      await look();
      expect(await row()).toEqual({ kept: false, ...active(2) });
    });

    function active(failures: number): object {
      return { status: 'ACTIVE', failures };
    }
  });

  test('VLT-115 a response about another subject ends the grant after one call', async () => {
    const verify = async (): Promise<never> => {
      throw new SubjectMismatchError();
    };
    const { refresher, calls, link } = startRefresher({}, { verify });
    await link(0);
    expect(await resultOf(refresher)).toBe('REAUTHENTICATION_REQUIRED');
    expect(await resultOf(refresher)).toBe('REAUTHENTICATION_REQUIRED');
    expect(calls()).toBe(1);
  });

  /** What is not as usual for a refresher. */
  interface Specials {
    /** What a response says of the refresh token. */
    readonly refreshToken?: string | undefined;
    /** The provider's answer to a refresh. */
    readonly answer?: () => Promise<TokenSet>;
    /** What comes of verifying a response. */
    readonly verify?: VerifyTokens;
    /** Whose tokens this refresher uses. */
    readonly registration?: typeof REGISTRATION;
    /** Runs after the first look at the row. */
    readonly afterRead?: () => Promise<unknown>;
    /** Runs after a claim. */
    readonly afterClaim?: () => Promise<unknown>;
  }

  /** A refresher with the settings of an environment, at a provider that answers every refresh. No time passes. */
  function startRefresher(
    env: Record<string, string>,
    { refreshToken, answer, verify, registration, afterRead, afterClaim }: Specials = {},
  ) {
    const client = registration ?? REGISTRATION;
    const leases = refreshLeaseRepository(em(), client);
    let reads = 0;
    let calls = 0;
    // Of no meaning but for what passes, which is nothing.
    const now = (): number => 0;
    const { refresh, circuit } = loadConfig(env).vault;
    const refresher = new TokenRefresher({
      ...refresh,
      cipher: createTokenCipher(ring, client),
      now,
      breaker: new CircuitBreaker({ ...circuit, now }),
      leases: {
        ...leases,
        claim: async (claim) => {
          const claimed = await leases.claim({ ...claim, madeAtMs: Date.now() + DATABASE_AHEAD_MS });
          await afterClaim?.();
          return claimed;
        },
        read: async (accountId) => {
          const row = await leases.read(accountId);
          if ((reads += 1) === 1) await afterRead?.();
          // The moment of the row is the moment of the tests.
          return row && { ...row, state: { ...row.state, readAtMs: NOW } };
        },
      },
      refreshTokens: async () => {
        calls += 1;
        return answer ? answer() : { ...expiringIn(3_600_000, 'refreshed'), refreshToken };
      },
      verifyTokens: verify ?? (async (response) => response as TokenSet),
      // Deadlines never come; who polls asks at once.
      sleep: (_ms, signal) => (signal ? new Promise(() => undefined) : Promise.resolve()),
      random: () => 0,
      newId: () => MINE,
      onEvent: () => undefined,
      isKnownKey: async () => true,
      onSuperseded: async () => undefined,
    });
    return {
      refresher,
      calls: () => calls,
      link: (leftMs: number) => putTokens(leftMs, 'linked'),
    };
  }

  /** The access token that a caller gets, or the code of its error. */
  function resultOf(refresher: TokenRefresher): Promise<string> {
    return refresher.accessToken(ACCOUNT).then(
      ({ accessToken }) => accessToken,
      (error: AppError) => error.code,
    );
  }

  function expiringIn(leftMs: number, accessToken: string): TokenSet {
    return {
      accessToken,
      accessTokenIssuedAt: new Date(NOW),
      accessTokenExpiresAt: new Date(NOW + leftMs),
      scopes: ['openid'],
    };
  }

  /** Stores the tokens of a link. */
  async function putTokens(leftMs: number, accessToken: string): Promise<void> {
    const tokens = { ...expiringIn(leftMs, accessToken), refreshToken: 'refresh token' };
    await putSealed(em(), ACCOUNT, await cipher.sealLink(ACCOUNT, tokens));
  }
});
