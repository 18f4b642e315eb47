import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { useWorld } from '../kit/hooks.js';

interface Page {
  signIn(): Promise<void>;
  callback(): Promise<unknown>;
}

const world = useWorld();

test('the example of the README links a person and asks who they are, in two pages of one browser', async () => {
  const stored = new Map<string, string>();
  const visited: string[] = [];
  await open('https://app.example/', stored, visited).signIn();
  const back = await world.rollup.approve(visited[0] ?? '', { person: world.people[0] });
  expect(await open(back, stored, visited).callback()).toEqual({
    me: {
      id: expect.any(String) as string,
      name: world.people[0].name,
      email: world.people[0].email,
      rollupAccounts: [{ sub: world.people[0].sub, status: 'ACTIVE' }],
    },
  });
  expect(visited.at(-1)).toBe(new URL(back).pathname);
});

/** A page of a browser that loaded the example, with the addresses of this world. */
function open(url: string, stored: Map<string, string>, visited: string[]): Page {
  const { href, pathname } = new URL(url);
  const redirectUri = world.config.rollup.redirectUris[0] ?? '';
  const script = [...readFileSync('README.md', 'utf8').matchAll(/^```js\n(.*?)^```$/gms)]
    .map(([, code = '']) => code)
    .join('\n')
    .replace('https://accounts.example', world.app.url)
    .replace('https://app.example/callback', redirectUri);
  return runInNewContext(`${script}; ({ signIn, callback })`, {
    fetch,
    location: { href, pathname, assign: (to: string) => visited.push(to) },
    history: { replaceState: (_state: unknown, _title: string, to: string) => visited.push(to) },
    sessionStorage: {
      getItem: (name: string) => stored.get(name) ?? null,
      setItem: (name: string, value: string) => stored.set(name, value),
    },
  }) as Page;
}
