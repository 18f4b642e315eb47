import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
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
});

async function statusOf({ url }: { readonly url: string }): Promise<number> {
  return (await fetch(`${url}/readyz`)).status;
}
