import { settleUserinfo, takeUserinfoDue } from '../../src/accounts/missed-userinfo.repository.js';
import { createGate, type Fault } from '../../src/dev/instruments/faults.js';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { LinkRollupAccountDocument } from '../generated/graphql.js';
import { eventually } from '../kit/eventually.js';
import { useWorld } from '../kit/hooks.js';

const NAMES = ['openid', 'profile', 'email', 'connected_accounts'];
const LIVE = '{ me { email rollupAccounts { connectedAccounts { type } } } }';
/** The background looks every five seconds, and a minute later at what failed. */
const LATER = `clock_timestamp() + interval '1 hour'`;

describe('userinfo that cannot be read at a sign-in', () => {
  const world = useWorld({ env: { ROLLUP_TIMEOUT_MS: '2000' } });
  let mira: Person;
  let tomas: Person;
  beforeEach(() => void ([mira, tomas] = world.people));
  const userinfo = () => world.rollup.switches.faults.userinfo;
  const user = async () => (await world.rows('app_user'))[0];
  const dueAt = async () => (await world.rows('rollup_account'))[0]?.['userinfo_due_at'];
  const setDue = (at: string) => world.em().execute(`update rollup_account set userinfo_due_at = ${at}`);
  /** Signs in while userinfo is down, and leaves what it missed to the next chance. */
  async function missIt(scopes = NAMES): Promise<{ token: string }> {
    userinfo().queue.push({ status: 503 });
    const linked = await world.linkPerson(mira, { scopes });
    expect(await user()).toMatchObject({ email: null });
    return linked;
  }

  test.each<[string, () => Fault]>([
    ['is down', () => ({ status: 503 })],
    ['is not there', () => ({ status: 404 })],
    ['is slow', () => createGate().fault],
    ['is cut off', () => ({ reset: 'after-headers' })],
    ['is HTML', () => ({ body: '<html>' })],
    ['is a message', () => ({ body: { message: 'maintenance' } })],
  ])('VLT-86 does not stop it when it %s, and is due', async (_title, fault) => {
    userinfo().queue.push(fault());
    const { userErrors, account, user: person } = await world.link(mira);
    expect(userErrors).toEqual([]);
    expect(person).toMatchObject({ name: mira.name, email: null });
    expect(await world.rows('sealed_tokens')).toMatchObject([{ status: 'ACTIVE' }]);
    expect(await dueAt()).not.toBeNull();
    const logged = world.records().filter(({ msg }) => msg === 'userinfo');
    expect(logged).toMatchObject([{ level: 'warn', accountId: account?.id }]);
  });

  test('VLT-86 does not stop a take-over of tokens either', async () => {
    userinfo().queue.push({ status: 503 });
    const tokens = await world.rollup.issue(mira);
    const { data } = await world.ask(LinkRollupAccountDocument, { input: { tokens } });
    expect(data.linkRollupAccount).toMatchObject({ userErrors: [], user: { email: null } });
    expect(await dueAt()).not.toBeNull();
  });

  test('VLT-86 is not due when it was read, not needed or rejected', async () => {
    await world.linkPerson(mira);
    expect(await dueAt()).toBeNull();
    await world.reset();
    await world.linkPerson(mira, { scopes: ['openid'] });
    expect(await dueAt()).toBeNull();
    await world.reset();
    userinfo().queue.push({ status: 401 });
    await world.linkPerson(mira);
    expect(await dueAt()).toBeNull();
  });

  test('VLT-87 is read in the background, and what it tells is stored', async () => {
    await missIt();
    await eventually(async () => expect(await user()).toMatchObject({ name: mira.name, email: mira.email }));
    expect(await dueAt()).toBeNull();
    expect(world.rollup.calls.userinfo).toBe(2);
  });

  test('VLT-87 tells no more than the scopes allow', async () => {
    userinfo().queue.push({ status: 503 }, { transform: (own) => ({ ...own, name: 'Unasked' }) });
    await world.linkPerson(mira, { scopes: ['openid', 'email'] });
    await eventually(async () => expect(await user()).toMatchObject({ name: null, email: mira.email }));
  });

  test('VLT-87 is put off for a minute when it fails again, which changes nothing else', async () => {
    userinfo().standing = { status: 503 };
    await world.linkPerson(mira);
    const isPutOff = `userinfo_due_at > clock_timestamp() + interval '30 seconds'`;
    await eventually(async () => {
      expect(await world.em().execute(`select from rollup_account where ${isPutOff}`)).toHaveLength(1);
      expect(world.rollup.calls.userinfo).toBe(2);
    });
    expect(await world.rows('sealed_tokens')).toMatchObject([{ status: 'ACTIVE', generation: 1 }]);
    userinfo().standing = undefined;
    await setDue('clock_timestamp()');
    await eventually(async () => expect(await dueAt()).toBeNull());
    expect(await user()).toMatchObject({ email: mira.email });
  });

  test('VLT-87 is due no more when the user revoked the grant meanwhile', async () => {
    await missIt();
    world.rollup.revoke(mira);
    await eventually(async () => expect(await dueAt()).toBeNull());
    expect(await world.rows('sealed_tokens')).toMatchObject([{ status: 'REAUTHENTICATION_REQUIRED' }]);
    expect(await user()).toMatchObject({ email: null });
  });

  test('VLT-87 is learnt from a live read', async () => {
    const { token } = await missIt();
    await setDue(LATER);
    expect((await world.ask(LIVE, {}, { token })).errors).toEqual([]);
    expect(await user()).toMatchObject({ email: mira.email });
    expect(await dueAt()).toBeNull();
  });

  test('VLT-87 stays due after a live read that fails', async () => {
    const { token } = await missIt();
    await setDue(LATER);
    userinfo().queue.push({ status: 503 });
    expect((await world.ask(LIVE, {}, { token })).codes).toEqual(['PROVIDER_UNAVAILABLE']);
    expect(await dueAt()).not.toBeNull();
  });

  test('VLT-87 is read by the next sign-in', async () => {
    await missIt();
    await setDue(LATER);
    await world.linkPerson(mira);
    expect(await user()).toMatchObject({ email: mira.email });
    expect(await dueAt()).toBeNull();
  });

  test('VLT-87 is read for the accounts of this issuer only', async () => {
    await missIt();
    await world.em().execute(`update rollup_account set issuer = 'https://another.example'`);
    const before = await dueAt();
    userinfo().queue.push({ status: 503 });
    await world.linkPerson(tomas);
    await eventually(async () => expect(JSON.stringify(await world.rows('app_user'))).toContain(tomas.email));
    const left = (await world.rows('rollup_account')).map((row) => row['userinfo_due_at']);
    expect(left).toContainEqual(before);
  });

  describe('and is due', () => {
    const issuer = () => world.rollup.url;

    test('VLT-87 goes to one of several that take at once', async () => {
      for (let count = 0; count < 5; count += 1) {
        const { accountId } = await world.linkPerson(createPerson(), { scopes: ['openid'] });
        await world
          .em()
          .execute('update rollup_account set userinfo_due_at = clock_timestamp() where id = ?', [accountId]);
      }
      const taken = await Promise.all([2, 2, 2].map((limit) => takeUserinfoDue(world.em(), issuer(), limit)));
      // The background of the server may have taken some, too.
      const ids = taken.flat().map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(await takeUserinfoDue(world.em(), issuer(), 9)).toEqual([]);
    });

    test('VLT-87 is not settled by what was read for an earlier sign-in', async () => {
      await missIt();
      await setDue(LATER);
      const { id, userinfo_due_at: now } = (await world.rows('rollup_account'))[0] ?? {};
      const account = { id: String(id), userinfoDueAt: new Date(Number(new Date(String(now))) - 1) };
      await settleUserinfo(world.em(), account, { name: 'Old', email: 'old@example.com' });
      expect(await user()).toMatchObject({ name: mira.name, email: null });
      expect(await dueAt()).not.toBeNull();
    });
  });
});
