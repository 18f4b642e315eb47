import { refreshLeaseRepository } from '../../src/vault/refresh-lease.repository.js';
import type { LeaseClaim, RefreshLeaseRepository } from '../../src/vault/refresh-steps.js';
import { findExpiring } from '../../src/vault/refresh-due.repository.js';
import { putSealed, type SealedLink } from '../../src/vault/sealed-tokens.repository.js';
import { findTokenStates, readSealed } from '../../src/vault/sealed-row.repository.js';
import { onPostgres } from '../kit/needs.js';
import { KEY_ID, NEXT_KEY_ID } from '../kit/token-rows.js';
import { DATABASE_AHEAD_MS, useVaultDatabase } from '../kit/vault-database.js';

/** A row of `sealed_tokens`. Moments are whole hours from now, by the clock of the database. */
interface Row {
  readonly status: string;
  readonly scope: string;
  readonly accessToken: string;
  readonly idToken: string | null;
  readonly refreshToken: string | null;
  readonly pendingResponse: string | null;
  readonly keyId: string;
  readonly dataKey: string;
  readonly issuedIn: number;
  readonly expiresIn: number;
  readonly refreshedIn: number | null;
  readonly generation: number;
  readonly rotates: boolean;
  readonly leaseId: string | null;
  readonly leaseIn: number | null;
  readonly failures: number;
  readonly retryIn: number | null;
}

/** A state of the row, and whether the step changes it. */
type Case = [title: string, state: Partial<Row>, changes: boolean];

const ACCOUNT = '00000000-0000-4000-8000-00000000000a';
const MINE = '00000000-0000-4000-8000-000000000001';
const THEIRS = '00000000-0000-4000-8000-000000000002';
const HOUR_MS = 3_600_000;
const REGISTRATION = { issuer: 'https://issuer.example', clientId: 'client' };

const resting: Row = {
  status: 'ACTIVE',
  scope: 'openid',
  accessToken: 'old access token',
  idToken: 'old ID token',
  refreshToken: 'old refresh token',
  pendingResponse: null,
  keyId: 'k1',
  dataKey: 'old data key',
  issuedIn: -4,
  expiresIn: -3,
  refreshedIn: -4,
  generation: 4,
  rotates: false,
  leaseId: null,
  leaseIn: null,
  failures: 2,
  retryIn: null,
};
const atRest = {};
const newer = { generation: 5 };
const older = { generation: 3 };
const dead = { status: 'REAUTHENTICATION_REQUIRED' };
const leased = { leaseId: MINE, leaseIn: 1 };
const leasedByAnother = { leaseId: THEIRS, leaseIn: 1 };
const over = { leaseId: MINE, leaseIn: -1 };
const leaseOfAnotherOver = { leaseId: THEIRS, leaseIn: -1 };
const responseLost = { ...dead, ...over };
const responseKept = { pendingResponse: 'kept response' };
const inBackOff = { retryIn: 1 };
const afterBackOff = { retryIn: -1 };
const noLease = { leaseId: null, leaseIn: null };

describe('the SQL of a refresh', () => {
  const database = useVaultDatabase();
  const leases = () => refreshLeaseRepository(database.em(), REGISTRATION);

  describe('the claim of a lease', () => {
    test.each<[...Case, takeOver: boolean]>([
      ['that nobody holds', atRest, true, true],
      ['that nobody holds, from a provider that rotates', atRest, true, false],
      ['of a later generation', newer, false, true],
      ['of an earlier generation', older, false, true],
      ['of a dead grant', dead, false, true],
      ['that another holds', leasedByAnother, false, true],
      ['that another held', leaseOfAnotherOver, true, true],
      ['that another held, from a provider that rotates', leaseOfAnotherOver, false, false],
      [
        'that another held, from a provider that rotates, with a response in hand',
        { ...leaseOfAnotherOver, ...responseKept },
        true,
        false,
      ],
      ['whose response was lost', { ...dead, ...leaseOfAnotherOver }, false, true],
      ['during the back-off', inBackOff, false, true],
      ['that another held, during the back-off', { ...leaseOfAnotherOver, ...inBackOff }, false, true],
      ['after the back-off', afterBackOff, true, true],
    ])('%s', (_title, state, changes, takeOver) =>
      expectStep(state, changes, { leaseId: MINE, leaseIn: 2 }, () =>
        claims({
          accountId: ACCOUNT,
          generation: resting.generation,
          leaseId: MINE,
          leaseMs: 2 * HOUR_MS,
          takeOver,
          madeAtMs: databaseNow(),
        }),
      ),
    );

    const claim = (madeAtMs: number): Promise<boolean> =>
      claims({
        accountId: ACCOUNT,
        generation: resting.generation,
        leaseId: MINE,
        leaseMs: HOUR_MS,
        takeOver: true,
        madeAtMs,
      });

    test.each<[string, number, boolean]>([
      ['before its lease would be over', 0.9, true],
      ['after its lease would be over', 1.1, false],
    ])('VLT-66 carried out late, %s', (_title, hoursLate, changes) =>
      expectStep({}, changes, { leaseId: MINE, leaseIn: 1 }, () =>
        claim(databaseNow() - hoursLate * HOUR_MS),
      ),
    );

    onPostgres('of a row that another transaction holds', () => {
      test('VLT-66 fails at once, and leaves nothing that is carried out later', async () => {
        await insert(resting);
        await database.em().transactional(async (tx) => {
          await tx.execute('select from sealed_tokens for update');
          expect(await claim(databaseNow())).toBe(false);
        });
        expect(await read()).toEqual(resting);
      });
    });
  });

  describe('the tokens of a refresh are stored', () => {
    const tokens = {
      scope: 'openid email',
      accessToken: 'new access token',
      idToken: 'new ID token',
      refreshToken: 'new refresh token',
      refreshTokenRotates: true,
      delayMs: 0,
    };
    const stored = {
      status: 'ACTIVE',
      scope: 'openid email',
      accessToken: 'new access token',
      idToken: 'new ID token',
      refreshToken: 'new refresh token',
      pendingResponse: null,
      keyId: 'k1',
      dataKey: 'old data key',
      issuedIn: 5,
      expiresIn: 6,
      refreshedIn: 0,
      generation: 5,
      rotates: true,
      ...noLease,
      failures: 0,
      retryIn: null,
    };
    const put = (special: Partial<typeof tokens | Record<'idToken' | 'refreshToken', null>> = {}) =>
      leases().putRefreshed(ACCOUNT, resting.generation, {
        ...tokens,
        ...special,
        accessTokenIssuedAt: inHours(stored.issuedIn),
        accessTokenExpiresAt: inHours(stored.expiresIn),
      });

    test.each<Case>([
      ['by the holder of the lease', leased, true],
      ['by a holder whose lease is over', over, true],
      ['by a holder whose lease another took over', leasedByAnother, true],
      ['by a holder that was taken for dead', responseLost, true],
      ['after a back-off', { ...leased, ...afterBackOff }, true],
      ['in the place of a response that was kept', { ...leased, ...responseKept }, true],
      ['not over a later generation', newer, false],
      ['not over a later generation that another refreshes', { ...newer, ...leasedByAnother }, false],
      ['not over a grant that has ended', { ...newer, ...dead }, false],
      ['not over an earlier generation', older, false],
    ])('%s', (_title, state, changes) => expectStep(state, changes, stored, () => put()));

    test.each(['idToken', 'refreshToken'] as const)('and the %s stays when the response omits it', (name) =>
      expectStep(leased, true, { ...stored, [name]: resting[name] }, () => put({ [name]: null })),
    );

    test('with the time before the next refresh', () =>
      expectStep(leased, true, { ...stored, retryIn: 2 }, () => put({ delayMs: 2 * HOUR_MS })));

    test('with what was learned about the rotation', () =>
      expectStep({ ...leased, rotates: true }, true, { ...stored, rotates: false }, () =>
        put({ refreshTokenRotates: false }),
      ));
  });

  describe('VLT-114 a response that cannot be verified yet is stored', () => {
    const kept = { pendingResponse: 'sealed response', failures: 3, retryIn: 2, status: 'ACTIVE' };
    const put = () =>
      leases().putResponse(ACCOUNT, resting.generation, {
        pendingResponse: 'sealed response',
        leaseId: MINE,
        backOffMs: 2 * HOUR_MS,
      });

    test.each<[...Case, Partial<Row>]>([
      ['by the holder of the lease', leased, true, noLease],
      ['by a holder whose lease is over', over, true, noLease],
      ['by a holder that was taken for dead', responseLost, true, noLease],
      ['by a holder whose lease another took over, which goes on', leasedByAnother, true, {}],
      ['not over a later generation', newer, false, {}],
      ['not over a grant that has ended', { ...newer, ...dead }, false, {}],
    ])('%s', (_title, state, changes, lease) => expectStep(state, changes, { ...kept, ...lease }, put));

    test('and is dropped by a release that says so', () =>
      expectStep(
        { ...leased, ...responseKept },
        true,
        { pendingResponse: null, ...noLease, failures: 3, retryIn: 2 },
        () => leases().release(ACCOUNT, MINE, 2 * HOUR_MS, true),
      ));
  });

  describe('the release of a lease', () => {
    const states: Case[] = [
      ['that runs', leased, true],
      ['that is over', over, true],
      ['whose response was taken for lost', responseLost, true],
      ['of a generation that has changed meanwhile', { ...leased, ...newer }, true],
      ['that another took over', leasedByAnother, false],
      ['that looked at a response', { ...leased, ...responseKept }, true],
      ['that is gone', atRest, false],
      ['that is gone, of a grant that has ended', { ...newer, ...dead }, false],
    ];

    test.each(states)('%s', (_title, state, changes) =>
      expectStep(state, changes, { status: 'ACTIVE', ...noLease }, () => leases().release(ACCOUNT, MINE, 0)),
    );

    // The outcome of that call is unknown: a response that was taken for lost may have been one.
    test.each(states)('%s, with a failure', (_title, state, changes) =>
      expectStep(state, changes, { ...noLease, failures: 3, retryIn: 2 }, () =>
        leases().release(ACCOUNT, MINE, 2 * HOUR_MS),
      ),
    );
  });

  describe('the end of a grant', () => {
    test.each<Case>([
      ['at rest', atRest, true],
      ['by the holder of the lease', leased, true],
      ['while another holds the lease', leasedByAnother, true],
      ['after the lease', over, true],
      ['in the back-off', { ...leased, ...inBackOff }, true],
      ['whose response was lost', responseLost, true],
      ['with a response that was kept', responseKept, true],
      ['not of a later generation', newer, false],
      ['not of an earlier generation', older, false],
    ])('%s', (_title, state, changes) =>
      expectStep(
        state,
        changes,
        { ...dead, ...noLease, ...newer, retryIn: null, pendingResponse: null },
        () => leases().markDead(ACCOUNT, resting.generation),
      ),
    );
  });

  describe('a response is recorded as lost', () => {
    test.each<Case>([
      ['after the lease', over, true],
      ['after the lease of another', leaseOfAnotherOver, true],
      ['not while the lease runs', leasedByAnother, false],
      ['not without a lease', atRest, false],
      ['not twice', responseLost, false],
      ['not with a response in hand', { ...over, ...responseKept }, false],
      ['not of a later generation', { ...over, ...newer }, false],
      ['not of an earlier generation', { ...over, ...older }, false],
    ])('%s', (_title, state, changes) =>
      expectStep(state, changes, dead, () => leases().markResponseLost(ACCOUNT, resting.generation)),
    );
  });

  describe('a relink', () => {
    const link: Omit<SealedLink, 'accessTokenIssuedAt' | 'accessTokenExpiresAt' | 'issuer' | 'clientId'> = {
      scope: 'openid email',
      accessToken: 'linked access token',
      idToken: null,
      refreshToken: null,
      keyId: 'k2',
      dataKey: 'linked data key',
    };
    const linked = {
      ...link,
      pendingResponse: null,
      status: 'ACTIVE',
      issuedIn: 5,
      expiresIn: 6,
      refreshedIn: null,
      generation: 5,
      ...noLease,
      failures: 0,
      retryIn: null,
    };
    const relink = () =>
      putSealed(database.em(), ACCOUNT, {
        ...link,
        ...REGISTRATION,
        accessTokenIssuedAt: inHours(linked.issuedIn),
        accessTokenExpiresAt: inHours(linked.expiresIn),
      });

    test.each<[string, Partial<Row>]>([
      ['tokens at rest', atRest],
      ['tokens that are being refreshed', leasedByAnother],
      ['a response that was lost', responseLost],
      ['a back-off', inBackOff],
      ['a grant that has ended', dead],
      ['tokens of a provider that rotates', { rotates: true }],
      ['a response that was kept', responseKept],
    ])('replaces %s, and only what is known of the provider stays', async (_title, state) => {
      await insert({ ...resting, ...state });
      await relink();
      expect(await read()).toEqual({ ...resting, ...state, ...linked });
    });

    test('of an unlinked account begins anew', async () => {
      await relink();
      expect(await read()).toEqual({ ...linked, generation: 1, rotates: false });
    });
  });

  describe.each([
    ['issuer', { ...REGISTRATION, issuer: 'https://another.example' }],
    ['client', { ...REGISTRATION, clientId: 'another' }],
  ])('VLT-03 a row of another %s', (_title, other) => {
    const strangers = () => refreshLeaseRepository(database.em(), other);
    test.each(stepsOf(strangers))('is not changed by a %s', async (_step, step, state) => {
      await insert({ ...resting, ...state });
      expect(await step()).toBe(false);
      expect(await read()).toEqual({ ...resting, ...state });
    });

    test('is shown as one that only a new link helps, and stays as it is', async () => {
      await insert(resting);
      expect((await strangers().read(ACCOUNT))?.state.status).toBe('REAUTHENTICATION_REQUIRED');
      const [shown] = await findTokenStates(database.em(), other, [ACCOUNT]);
      expect(shown?.status).toBe('REAUTHENTICATION_REQUIRED');
      const [ours] = await findTokenStates(database.em(), REGISTRATION, [ACCOUNT]);
      expect(ours?.status).toBe('ACTIVE');
    });
  });

  describe('an unlinked account', () => {
    test.each(stepsOf(leases))('is not brought back by a late %s', async (_title, step) => {
      expect(await step()).toBe(false);
      expect(await read()).toBeUndefined();
    });

    test('has no tokens to read', async () => {
      expect(await leases().read(ACCOUNT)).toBeUndefined();
    });
  });

  test.each<[string, Partial<Row>, object]>([
    ['at rest', atRest, { leaseId: null, lease: 0, retry: 0 }],
    ['leased, in the back-off', { ...leased, ...inBackOff }, { leaseId: MINE, lease: 1, retry: 1 }],
    [
      'after the lease and the back-off',
      { ...over, ...afterBackOff },
      { leaseId: MINE, lease: -1, retry: -1 },
    ],
  ])(
    'a row %s is read with the times that are left by the clock of the database',
    async (_title, state, left) => {
      await insert({ ...resting, ...state });
      const row = (await readSealed(database.em(), REGISTRATION, [ACCOUNT]))[0]?.state;
      const hours = (ms = Number.NaN): number => Math.round(ms / HOUR_MS) + 0;
      expect({
        leaseId: row?.leaseId,
        lease: hours(row?.leaseRemainingMs),
        retry: hours(row?.retryInMs),
      }).toEqual(left);
    },
  );

  describe('a refresh ahead of demand', () => {
    test.each<Case>([
      ['finds a token that has ended', atRest, true],
      ['finds a token that is about to end', { expiresIn: 1 }, true],
      ['leaves a token that goes on', { expiresIn: 3 }, false],
      ['leaves a grant that has ended', dead, false],
      ['leaves a token that cannot be refreshed', { refreshToken: null }, false],
      ['leaves a token that another refreshes', leasedByAnother, false],
      ['finds a token whose refresh was given up', leaseOfAnotherOver, true],
      ['leaves a token whose response was lost', { ...leaseOfAnotherOver, rotates: true }, false],
      ['leaves a token in the back-off', inBackOff, false],
      ['finds a token after the back-off', afterBackOff, true],
    ])('%s', async (_title, state, finds) => {
      await insert({ ...resting, ...state });
      expect(await findExpiring(database.em(), REGISTRATION, [KEY_ID], 2 * 3_600, 1)).toEqual(
        finds ? [ACCOUNT] : [],
      );
    });

    test('VLT-05 leaves tokens that a key which is not in the ring wraps', async () => {
      await insert(resting);
      expect(await findExpiring(database.em(), REGISTRATION, [NEXT_KEY_ID], 2 * 3_600, 1)).toEqual([]);
    });

    test.each([
      ['issuer', { issuer: 'https://another.example' }],
      ['client', { clientId: 'another' }],
    ])('VLT-03 leaves tokens of another %s', async (_title, other) => {
      await insert(resting);
      expect(
        await findExpiring(database.em(), { ...REGISTRATION, ...other }, [KEY_ID], 2 * 3_600, 1),
      ).toEqual([]);
    });
  });

  /** Each step that changes a row, and the state of a row that it would change. */
  function stepsOf(
    steps: () => RefreshLeaseRepository,
  ): [step: string, run: () => Promise<boolean>, state: Partial<Row>][] {
    const { generation } = resting;
    const claim = { accountId: ACCOUNT, generation, leaseId: MINE, leaseMs: HOUR_MS, takeOver: true };
    const response = { pendingResponse: 'sealed', leaseId: MINE, backOffMs: 1 };
    const refreshed = () => ({
      ...resting,
      accessTokenIssuedAt: inHours(0),
      accessTokenExpiresAt: inHours(1),
      refreshTokenRotates: false,
      delayMs: 0,
    });
    return [
      ['claim', () => claims({ ...claim, madeAtMs: databaseNow() }, steps()), atRest],
      ['response', () => steps().putRefreshed(ACCOUNT, generation, refreshed()), leased],
      ['response that cannot be verified', () => steps().putResponse(ACCOUNT, generation, response), leased],
      ['release', () => steps().release(ACCOUNT, MINE, 1), leased],
      ['end of its grant', () => steps().markDead(ACCOUNT, generation), leased],
      ['lost response', () => steps().markResponseLost(ACCOUNT, generation), over],
    ];
  }

  /** Whether a claim is granted. */
  async function claims(claim: LeaseClaim, steps = leases()): Promise<boolean> {
    return (await steps.claim(claim)) !== undefined;
  }

  /** Expects that the step makes these changes of the row and no other, or none, and that it says so. */
  async function expectStep(
    state: Partial<Row>,
    changes: boolean,
    effect: Partial<Row>,
    step: () => Promise<boolean>,
  ): Promise<void> {
    const before = { ...resting, ...state };
    await insert(before);
    expect(await step()).toBe(changes);
    expect(await read()).toEqual({ ...before, ...(changes && effect) });
  }

  function databaseNow(): number {
    return Date.now() + DATABASE_AHEAD_MS;
  }

  function inHours(hours: number): Date {
    return new Date(databaseNow() + hours * HOUR_MS);
  }

  async function insert(row: Row): Promise<void> {
    const moment = `clock_timestamp() + interval '1 hour' * ?::int`;
    await database.em().execute(
      `insert into sealed_tokens (account_id, status, scope, access_token, id_token, refresh_token, pending_response, key_id, data_key,
       issuer, client_id, generation, refresh_token_rotates, lease_id, failure_count,
       access_token_issued_at, access_token_expires_at, last_refreshed_at, lease_expires_at, retry_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${moment}, ${moment}, ${moment}, ${moment}, ${moment})`,
      [
        ACCOUNT,
        row.status,
        row.scope,
        row.accessToken,
        row.idToken,
        row.refreshToken,
        row.pendingResponse,
        row.keyId,
        row.dataKey,
        REGISTRATION.issuer,
        REGISTRATION.clientId,
        row.generation,
        row.rotates,
        row.leaseId,
        row.failures,
        row.issuedIn,
        row.expiresIn,
        row.refreshedIn,
        row.leaseIn,
        row.retryIn,
      ],
    );
  }

  async function read(): Promise<Row | undefined> {
    const hours = (column: string): string =>
      `round(extract(epoch from ${column} - clock_timestamp()) / 3600)::int`;
    const rows = await database.em().execute<Row[]>(
      `select status, scope, access_token as "accessToken", id_token as "idToken", refresh_token as "refreshToken",
       pending_response as "pendingResponse", key_id as "keyId", data_key as "dataKey", generation, refresh_token_rotates as "rotates", lease_id as "leaseId",
       failure_count as "failures", ${hours('access_token_issued_at')} as "issuedIn",
       ${hours('access_token_expires_at')} as "expiresIn",
       ${hours('last_refreshed_at')} as "refreshedIn", ${hours('lease_expires_at')} as "leaseIn",
       ${hours('retry_at')} as "retryIn"
     from sealed_tokens where account_id = ?`,
      [ACCOUNT],
    );
    return rows[0];
  }
});
