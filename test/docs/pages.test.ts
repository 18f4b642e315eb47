import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const PAGES = globSync(['*.md', 'docs/*.md', 'src/**/*.md', 'test/**/*.md']);

test('the README is at most 10 kB', () => {
  expect(statSync('README.md').size).toBeLessThanOrEqual(10_240);
});

describe.each(PAGES)('%s', (page) => {
  const lines = proseOf(page);

  test('links to files and headings that exist', () => {
    expect(linksOf(lines).filter((link) => !leadsSomewhere(page, link))).toEqual([]);
  });

  test('breaks no code span over the end of a line', () => {
    expect(lines.filter((line) => line.split('`').length % 2 === 0)).toEqual([]);
  });
});

test.each(PAGES.filter((page) => !page.startsWith('src')))(
  'the cells of the tables in %s are short',
  (page) => {
    const rows = proseOf(page).filter((line) => line.startsWith('|'));
    const cells = rows.flatMap((row) => row.split('|').map((cell) => cell.trim()));
    expect(cells.filter((cell) => cell.length > 120)).toEqual([]);
  },
);

/** The lines outside of code blocks, which may be parts of a list. */
function proseOf(page: string): string[] {
  return readFileSync(page, 'utf8')
    .replaceAll(/^( *)```.*?^\1```$/gms, '')
    .split('\n');
}

/** Targets within the repository; those of other sites are not ours to check. */
function linksOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) =>
    [...line.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target)),
  );
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', heading] = link.split('#');
  const target = path === '' ? page : join(dirname(page), path);
  return existsSync(target) && (heading === undefined || headingsOf(target).includes(heading));
}

/** The anchors of a page, as GitHub makes them: lower case, hyphens for spaces, no punctuation. */
function headingsOf(page: string): string[] {
  return proseOf(page).flatMap((line) => {
    const title = /^#+ (.+)$/.exec(line)?.[1];
    return title === undefined
      ? []
      : [
          title
            .toLowerCase()
            .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
            .replaceAll(' ', '-'),
        ];
  });
}
