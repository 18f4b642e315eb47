import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** What an image is when it is built: where its files are, and what it runs. */
export interface Image {
  /** Its working directory on this machine. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
}

interface Stage {
  readonly root: string;
  readonly env: Record<string, string>;
  directory: string;
  user: string;
  command: readonly string[];
  healthcheck: readonly string[];
}

/**
 * Carries out the Containerfile below `target` without a container engine, and returns the last stage. `run` is called
 * for every RUN. Knows the instructions and forms that the file uses, and throws for others.
 */
export async function buildImage(
  target: string,
  run: (directory: string, command: string) => Promise<unknown>,
): Promise<Image> {
  const ignored = readFileSync('.dockerignore', 'utf8').split('\n');
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const [, name = '', rest = ''] of instructions()) {
    if (name === 'FROM') {
      const label = / AS (\w+)$/.exec(rest)?.[1] ?? `stage-${stages.size}`;
      const root = join(target, label);
      stage = { root, env: {}, directory: root, user: 'root', command: [], healthcheck: [] };
      stages.set(label, stage);
      continue;
    }
    if (!stage) throw new Error(`${name} before FROM`);
    if (name === 'RUN') await run(stage.directory, rest);
    else if (name === 'COPY') copy(stage, rest, stages, ignored);
    else apply(stage, name, rest);
  }
  if (!stage) throw new Error('the file has no stage');
  return stage;
}

function instructions(): RegExpMatchArray[] {
  const text = readFileSync('Containerfile', 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ');
  return [...text.matchAll(/^([A-Z]+) +(.+)$/gm)];
}

function copy(
  stage: Stage,
  rest: string,
  stages: ReadonlyMap<string, Stage>,
  ignored: readonly string[],
): void {
  const from = /^--from=(\w+) /.exec(rest)?.[1];
  const paths = rest.replace(/^--from=\w+ /, '').split(' ');
  const to = paths.pop() ?? '';
  for (const path of paths) {
    // The context holds only what .dockerignore lets in.
    if (from === undefined && !ignored.includes(`!${path}`)) throw new Error(`${path} is not in the context`);
    const source = from === undefined ? path : join(stages.get(from)?.root ?? '', path);
    const target = join(stage.directory, to.endsWith('/') ? join(to, basename(path)) : to);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(source, target, { recursive: true, verbatimSymlinks: true });
  }
}

function apply(stage: Stage, name: string, rest: string): void {
  if (name === 'WORKDIR') mkdirSync((stage.directory = join(stage.root, rest)), { recursive: true });
  else if (name === 'ENV') Object.assign(stage.env, pairs(rest));
  else if (name === 'USER') stage.user = rest;
  else if (name === 'CMD') stage.command = JSON.parse(rest) as string[];
  else if (name === 'HEALTHCHECK') stage.healthcheck = JSON.parse(rest.slice(rest.indexOf('['))) as string[];
  else if (name !== 'EXPOSE') throw new Error(`unknown instruction ${name}`);
}

function pairs(text: string): Record<string, string> {
  return Object.fromEntries(text.split(' ').map((pair) => pair.split('=') as [string, string]));
}
