import { useWorld } from '../kit/hooks.js';
import { connectRaw } from '../kit/network.js';

describe('a request', () => {
  const world = useWorld();

  test('HTP-06 of a hundred headers is accepted, of one more it is 431', async () => {
    const statusWith = async (count: number): Promise<number | undefined> => {
      const connection = await connectRaw(world.app.url);
      const others = Array.from({ length: count - 1 }, (_, index) => `X-${index}: x\r\n`).join('');
      const [response] = await connection.send([`GET /healthz HTTP/1.1\r\nHost: x\r\n${others}\r\n`]);
      connection.close();
      return response?.status;
    };
    expect([await statusWith(100), await statusWith(101)]).toEqual([200, 431]);
  });

  test('HTP-23 is logged with at most 256 characters of its path, and without its query string', async () => {
    const path = `/${'a'.repeat(300)}`;
    await fetch(`${world.app.url}${path}?name=Mira`);
    const [record] = await world.requestsLogged(1, 404);
    expect(record).toMatchObject({ method: 'GET', path: path.slice(0, 256) });
    await fetch(`${world.app.url}/short?name=Mira`);
    const [, second] = await world.requestsLogged(2, 404);
    expect(second).toMatchObject({ path: '/short' });
    expect(world.logLines.join('')).not.toContain('Mira');
  });
});
