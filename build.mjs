import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, sep } from 'node:path';

// Compiles src/ into dist/, which is what runs. Every install does it (`prepare`), also a production install, which
// has no compiler: it borrows one for as long as the compilation takes, and only when dist/ is not up to date.

const ROOT = import.meta.dirname;
const SOURCES = join(ROOT, 'src');
const TARGET = join(ROOT, 'dist');
/** Holds the digest of what dist/ was made from. */
const STAMP = join(TARGET, '.sources');
const COMPILER = '@swc/core';
const CONFIG = join(ROOT, '.swcrc');

build();

function build() {
  // An image may take dist/ alone.
  if (!existsSync(SOURCES)) return;
  const sources = filesIn(SOURCES).filter((path) => path.endsWith('.ts'));
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const version = manifest.devDependencies[COMPILER];
  const digest = digestOf(version, [...sources, CONFIG, import.meta.filename]);
  if (existsSync(join(ROOT, 'node_modules', COMPILER))) compile(sources, digest, ROOT);
  else if (readIfThere(STAMP) !== digest) {
    withBorrowedCompiler(version, (place) => compile(sources, digest, place));
  }
}

/** Compiles with the compiler that is installed in `place`. Files that are right already are left alone. */
function compile(sources, digest, place) {
  const { transformFileSync } = createRequire(join(place, 'package.json'))(COMPILER);
  const results = new Map([[STAMP, digest]]);
  for (const source of sources) {
    const target = join(TARGET, relative(SOURCES, source).replace(/\.ts$/, '.js'));
    const sourceFileName = relative(dirname(target), source).split(sep).join('/');
    const { code, map } = transformFileSync(source, { cwd: ROOT, configFile: CONFIG, sourceFileName });
    results.set(target, `${code}\n//# sourceMappingURL=${basename(target)}.map`).set(`${target}.map`, map);
  }
  if (readIfThere(STAMP) !== digest) rmSync(STAMP, { force: true });
  for (const path of filesIn(TARGET)) {
    if (!results.has(path)) rmSync(path);
  }
  // The stamp comes last: with it dist/ is whole.
  for (const [path, text] of [...results].toReversed()) writeIfOther(path, text);
}

/**
 * Installs the compiler of the lock file in a temporary directory: `npm ci` takes exactly its versions, and checks
 * their integrity. No script of a package runs.
 */
function withBorrowedCompiler(version, use) {
  const place = mkdtempSync(join(tmpdir(), 'rollup-accounts-compiler-'));
  try {
    writeFileSync(join(place, 'package.json'), JSON.stringify({ dependencies: { [COMPILER]: version } }));
    for (const file of ['package-lock.json', '.npmrc']) copyFileSync(join(ROOT, file), join(place, file));
    // The machine's part of the compiler is an optional dependency of it, whatever the outer install leaves out.
    const options = ['--prefix', place, '--ignore-scripts', '--include=optional', '--prefer-offline'];
    const stdio = ['ignore', 'ignore', 'inherit'];
    execFileSync('npm', ['ci', '--loglevel=error', ...options], { cwd: place, stdio });
    use(place);
  } finally {
    rmSync(place, { recursive: true });
  }
}

function digestOf(version, files) {
  const hash = createHash('sha256').update(version);
  for (const path of files) hash.update(`\0${relative(ROOT, path)}\0`).update(readFileSync(path));
  return hash.digest('hex');
}

function filesIn(directory) {
  if (!existsSync(directory)) return [];
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

function writeIfOther(path, text) {
  if (readIfThere(path) === text) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
