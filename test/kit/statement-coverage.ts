import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Compiled files that may hold statements; migrations run once, while nothing is served. */
const FILES = ['dist/**/*.repository.js', 'dist/database/*.js'];

/** A call that sends a statement, or the text of one. */
const STATEMENT =
  /\.execute\(|\b(?:em|tx|fork\(\))\.(?!fork\b|transactional\b)\w+\(|['"`](?:select|insert into|update|delete from) /;

/** What V8 reports of one file (NODE_V8_COVERAGE); a range within another one counts for itself. */
interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly endOffset: number;
      readonly count: number;
    }[];
  }[];
}

/** The code with a statement in it that no process ran, as its file, line and beginning. @param directory of the reports. */
export function findUnexecuted(directory: string): string[] {
  const scripts = globSync(`${directory}/*.json`).flatMap(
    (path) => (JSON.parse(readFileSync(path, 'utf8')) as { result: ScriptCoverage[] }).result,
  );
  return globSync(FILES)
    .toSorted()
    .flatMap((file) => {
      const { href } = pathToFileURL(resolve(file));
      const source = readFileSync(file, 'utf8');
      return gapsOf(
        source,
        scripts.filter(({ url }) => url === href),
      )
        .filter(([start, end]) => STATEMENT.test(source.slice(start, end)))
        .map(
          ([start, end]) =>
            `${file}:${source.slice(0, start).split('\n').length} ${source.slice(start, end).trim().slice(0, 120)}`,
        );
    });
}

/** The stretches of a source that no process ran. */
function gapsOf(
  source: string,
  scripts: readonly ScriptCoverage[],
): (readonly [start: number, end: number])[] {
  const executed = new Uint8Array(source.length);
  for (const { functions } of scripts) {
    const own = new Uint8Array(source.length);
    // Outer functions and ranges come before those within them.
    for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges)) {
      own.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    }
    for (const [at, value] of own.entries()) executed[at] ||= value;
  }
  const gaps: (readonly [number, number])[] = [];
  for (let start = executed.indexOf(0); start >= 0;) {
    const next = executed.indexOf(1, start);
    const end = next < 0 ? source.length : next;
    gaps.push([start, end]);
    start = executed.indexOf(0, end);
  }
  return gaps;
}
