import { startBeside } from '../kit/beside.js';
import { useStarted, useWorld } from '../kit/hooks.js';
import type { ApprovedLink, LinkFlow, StartPayload } from '../kit/link-flow.js';

const TTL_MS = 600_000;
/** More than an attempt lasts. */
const OFF_MS = 660_000;
const PER_ADDRESS = 3;

describe.each([
  // To a slow clock fresh tokens are of the future.
  ['fast', OFF_MS, []],
  ['slow', -OFF_MS, ['TOKEN_INVALID']],
])('a link attempt, and a server whose clock is 11 minutes %s', (_word, offMs, verdict) => {
  const world = useWorld({ env: { OPEN_LINKS_PER_ADDRESS: String(PER_ADDRESS) } });
  const wrong = useStarted(() => startBeside(world, () => world.clock.monotonicNow() + offMs));

  test('VLT-93 ends when LINK_TTL_SECONDS have passed by the clock of the database', async () => {
    const earliest = world.clock.monotonicNow() + TTL_MS;
    const expiresAt = endOf(await wrong.start());
    expect(expiresAt).toBeGreaterThanOrEqual(earliest);
    expect(expiresAt).toBeLessThanOrEqual(world.clock.monotonicNow() + TTL_MS);
    expect(await storedEnds()).toEqual([expiresAt]);
  });

  test('VLT-93 that was begun there is found elsewhere, and the other way round', async () => {
    expect(await codesOf(world, await wrong.approve())).toEqual([]);
    expect(await codesOf(wrong, await world.approve(world.people[1]))).toEqual(verdict);
    expect(world.rollup.calls.exchange).toBe(2);
  });

  test('VLT-93 that has ended is found nowhere', async () => {
    const attempts = [await wrong.approve(), await world.approve()];
    await world.em().execute('update pending_link set expires_at = clock_timestamp()');
    for (const attempt of attempts) expect(await codesOf(wrong, attempt)).toEqual(['LINK_NOT_FOUND']);
    expect(world.rollup.calls.exchange).toBe(0);
  });

  test('VLT-93 is deleted neither sooner nor later than others when an address has too many', async () => {
    const begun: StartPayload[] = [];
    for (let round = 0; round < PER_ADDRESS; round += 1) begun.push(await wrong.start(), await world.start());
    expect(await storedEnds()).toEqual(begun.slice(-PER_ADDRESS).map(endOf));
  });

  const endOf = ({ expiresAt }: StartPayload): number => Date.parse(expiresAt ?? '');

  async function storedEnds(): Promise<number[]> {
    const rows = await world
      .em()
      .execute<{ ms: string }[]>(
        'select (extract(epoch from expires_at) * 1000)::text as ms from pending_link',
      );
    return rows.map(({ ms }) => Number(ms)).toSorted((one, other) => one - other);
  }
});

async function codesOf(server: LinkFlow, { begun, url }: ApprovedLink): Promise<unknown[]> {
  return (await server.finish(begun, url)).userErrors.map(({ code }) => code);
}
