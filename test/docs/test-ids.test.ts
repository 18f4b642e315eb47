import { globSync, readFileSync } from 'node:fs';
import ts from 'typescript';

const FAMILIES = 'JWT|LNK|STO|RFR|GQL|HTP|PRV|VLT';
/** An id such as `JWT-03`, `I1` or `R401`, or a run of ids such as `JWT-03 to JWT-06`. */
const IDS = new RegExp(
  `\\b(?:(${FAMILIES})-(\\d+)(?: to \\1-(\\d+))?|(I)([1-7])(?: to I([1-7]))?|R401)\\b`,
  'g',
);
const isTitle = new RegExp(`^(?:(?:${FAMILIES})-\\d+|I[1-7]|R401) `);

const definitions = idsIn(firstColumns(read('test/README.md')));
const titles = new Set(
  globSync('test/**/*.ts', { exclude: ['test/{docs,generated,kit,mutations}/**'] }).flatMap((path) =>
    stringsIn(path)
      .filter((text) => isTitle.test(text))
      .flatMap(idsIn),
  ),
);

test('every id is defined once', () => {
  expect(definitions.filter((id, index) => definitions.indexOf(id) < index)).toEqual([]);
});

test('every id in a title is defined', () => {
  expect([...titles].filter((id) => !definitions.includes(id))).toEqual([]);
});

test('every id that is defined is in a title', () => {
  expect(definitions.filter((id) => !titles.has(id))).toEqual([]);
});

test('every id that documentation and sources name is defined, and so is every id of a run', () => {
  const paths = globSync('{*.md,docs/**/*.md,src/**/*.{md,ts},bench/**/*.{md,ts},test/**/*.{md,ts}}', {
    exclude: ['test/{docs,generated}/**'],
  });
  const undefinedIds = paths.flatMap((path) =>
    idsIn(read(path))
      .filter((id) => !definitions.includes(id))
      .map((id) => `${path}: ${id}`),
  );
  expect(paths).toEqual(expect.arrayContaining(['README.md', 'src/vault/README.md', 'test/README.md']));
  expect(undefinedIds).toEqual([]);
});

test('a run of ids is each of them', () => {
  expect(idsIn('JWT-08 to JWT-10, I1 to I3, HTP-01 to GQL-02, R401')).toEqual(
    'JWT-08 JWT-09 JWT-10 I1 I2 I3 HTP-01 GQL-02 R401'.split(' '),
  );
});

function idsIn(text: string): string[] {
  return [...text.matchAll(IDS)].flatMap(([id, family, first, last, invariant, from, to]) => {
    if (family !== undefined) return run(`${family}-`, 2, first, last);
    return invariant === undefined ? [id] : run(invariant, 1, from, to);
  });
}

function run(prefix: string, digits: number, first = '', last = first): string[] {
  const count = Number(last) - Number(first) + 1;
  return Array.from(
    { length: count },
    (_, index) => prefix + String(Number(first) + index).padStart(digits, '0'),
  );
}

function firstColumns(markdown: string): string {
  return [...markdown.matchAll(/^\| (\S+) +\|/gm)].map(([, cell]) => cell).join('\n');
}

/** The text of every string in a source, of a template the part before its first value. */
function stringsIn(path: string): string[] {
  const texts: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node)) texts.push(node.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest));
  return texts;
}

function read(path: string): string {
  return readFileSync(path, 'utf8');
}
