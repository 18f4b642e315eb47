import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import process from 'node:process';
import { findTestFile, type Mutation } from './mutation.js';

/** One test that ran: its title with those of the blocks around it. */
export interface TestResult {
  readonly fullName: string;
  readonly status: string;
}

/** A test file, and the database that it runs on. */
type TestFile = Pick<Mutation, 'test' | 'needs'>;

const LEFT_BEHIND = new Set(['.git', '.data', 'node_modules']);
const TIMEOUT_MS = 300_000;

/**
 * A copy of the working tree in a temporary directory, so that sources can be changed while people work on theirs.
 * It is removed when the process exits, with everything that its tests left in their temporary directory.
 */
export class TreeCopy {
  readonly #directory = mkdtempSync(join(tmpdir(), 'rollup-accounts-mutations-'));
  readonly #tree = join(this.#directory, 'tree');
  readonly #temporary = join(this.#directory, 'tmp');
  #child: ChildProcess | undefined;

  constructor() {
    mkdirSync(this.#temporary);
    // Servers of tests run as another user than root, within it.
    chmodSync(this.#directory, 0o711);
    cpSync('.', this.#tree, { recursive: true, filter: (path) => !LEFT_BEHIND.has(basename(path)) });
    symlinkSync(resolve('node_modules'), join(this.#tree, 'node_modules'));
    process.once('exit', () => {
      this.#kill();
      rmSync(this.#directory, { recursive: true, force: true, maxRetries: 10 });
    });
  }

  /** Runs `work` while the source is changed. */
  async whileMutated<Result>({ file, from, to }: Mutation, work: () => Promise<Result>): Promise<Result> {
    const path = join(this.#tree, file);
    const source = readFileSync(path, 'utf8');
    writeFileSync(
      path,
      source.replace(from, () => to),
    );
    try {
      return await work();
    } finally {
      writeFileSync(path, source);
    }
  }

  /**
   * Runs the tests of a file whose full titles contain one of these, and returns those that ran: none when the file did
   * not start.
   */
  async runTests({ test, needs }: TestFile, titles: readonly string[]): Promise<TestResult[]> {
    const report = join(this.#directory, 'report.json');
    rmSync(report, { force: true });
    const pattern = titles.map((title) => title.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)).join('|');
    const options = ['--testNamePattern', pattern, '--runInBand', '--forceExit'];
    // Server processes of tests run from the build.
    await this.#npm(['run', 'build'], needs);
    await this.#npm(
      ['test', '--', findTestFile(test) ?? test, ...options, '--json', '--outputFile', report],
      needs,
    );
    return readReport(report).filter(({ status }) => status === 'passed' || status === 'failed');
  }

  #npm(args: readonly string[], needs: TestFile['needs']): Promise<void> {
    const { TEST_DATABASE_URL, ...env } = process.env;
    const child = spawn('npm', ['--silent', '--ignore-scripts', ...args], {
      cwd: this.#tree,
      env: { ...env, TMPDIR: this.#temporary, ...(needs === 'postgres' && { TEST_DATABASE_URL }) },
      stdio: 'ignore',
      detached: true,
    });
    this.#child = child;
    const timer = setTimeout(() => this.#kill(), TIMEOUT_MS);
    return new Promise((done, reject) => {
      child.once('error', reject);
      child.once('close', () => {
        clearTimeout(timer);
        this.#child = undefined;
        done();
      });
    });
  }

  /** Kills what runs now, with its children. */
  #kill(): void {
    try {
      if (this.#child?.pid !== undefined) process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }
}

function readReport(path: string): readonly TestResult[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // The time limit ended the run.
    return [];
  }
  const report = JSON.parse(text) as { testResults: { assertionResults: TestResult[] }[] };
  return report.testResults.flatMap(({ assertionResults }) => assertionResults);
}
