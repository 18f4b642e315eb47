import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createPerson } from '../../src/dev/rollup-id/people.js';
import { waitUntil } from '../kit/eventually.js';
import { useDirectory, useServers } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';

/** The embedded database runs in the server, and by its clock. */
onPostgres('of two server processes on one database', () => {
  const all = useServers(1);
  const CLOCK_FILE = `${useDirectory()}/ahead`;
  const NODE_OPTIONS = `--import=${pathToFileURL(resolve('test/kit/set-clock.mjs')).href}`;
  const setClock = (aheadSeconds: number): void => writeFileSync(CLOCK_FILE, String(aheadSeconds));

  test.each([
    ['slow', -60, '60 s behind'],
    ['fast', 660, '660 s ahead of'],
  ])(
    'VLT-90 the one whose clock is %s starts, says so and is not ready until it is mended; the other is',
    async (_word, aheadSeconds, words) => {
      setClock(aheadSeconds);
      const wrong = await all.add({ CLOCK_FILE, NODE_OPTIONS });
      const statuses = async () => Promise.all([wrong, all.server].map(statusOf));
      expect(wrong.output()).toContain(`the clock of this machine is ${words} the database's: not ready`);
      expect(await statuses()).toEqual([503, 200]);
      setClock(0);
      expect(await statuses()).toEqual([200, 200]);
      await all.linkPerson(undefined, wrong);
      setClock(aheadSeconds);
      const complaints = () => wrong.output().split('clock_wrong').length - 1;
      await waitUntil(() => complaints() === 2);
      expect(await statuses()).toEqual([503, 200]);
      expect(await wrong.stop()).toBe(0);
      expect(all.server.output()).not.toContain('clock_wrong');
    },
  );

  test.each([
    ['slow', -60],
    ['fast', 660],
  ])(
    'VLT-118 the one whose clock is %s refreshes by the clock of the database, and puts no account off',
    async (_word, aheadSeconds) => {
      const person = createPerson();
      const { accountId, sub } = await all.linkExpired(person);
      // One that either clock accepts.
      const iat = Math.floor(Date.now() / 1_000) - 90;
      const bearer = await all.rollup.mint('access', person, { claims: { iat, exp: iat + 3_600 } });
      setClock(aheadSeconds);
      const wrong = await all.add({ CLOCK_FILE, NODE_OPTIONS });
      expect((await all.renew(wrong, bearer)).token).toBeTruthy();
      expect((await all.renew(all.server, bearer)).token).toBeTruthy();
      expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
      expect(await all.row(accountId)).toMatchObject({
        status: 'ACTIVE',
        generation: 2,
        failure_count: 0,
        retry_at: null,
      });
      expect(await wrong.stop()).toBe(0);
    },
  );
});

async function statusOf({ url }: { readonly url: string }): Promise<number> {
  return (await fetch(`${url}/readyz`)).status;
}
