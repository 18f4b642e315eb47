#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { loadDatabaseConfig } from '../config.js';
import { openDatabase } from '../database/orm.js';
import { AppError } from '../errors.js';
import { describeError } from '../log.js';
import { serve } from '../server.js';
import { rotateKeysCommand } from './rotate-keys.js';

interface Command {
  readonly summary: string;
  readonly help: string;
  run(): Promise<void>;
}

const commands: Readonly<Record<string, Command>> = {
  serve: {
    summary: 'run the server (what npm start does)',
    help: 'Reads its settings from the environment; docs/settings.md lists them. Without any it runs everything embedded.\nStops on SIGTERM within SHUTDOWN_GRACE_MS.',
    run: () => serve(process.env),
  },
  migrate: {
    summary: 'bring the database up to date and exit',
    help: 'Needs DATABASE_URL (or DATA_DIR for the embedded database) and nothing else. Safe to run several at once.',
    run: migrate,
  },
  'rotate-keys': {
    summary: 'seal every stored token with the first key of TOKEN_KEYS and exit',
    help: 'Needs TOKEN_KEYS, and DATABASE_URL (or DATA_DIR for the embedded database). Servers may go on serving. When it is\ninterrupted, run it again: it continues. Exits with 1 when a token was left with another key.',
    run: () => rotateKeysCommand(process.env),
  },
  schema: {
    summary: 'print the GraphQL schema',
    help: 'Prints the public schema as SDL. The file schema/schema.graphql holds the same text.',
    run: printSchema,
  },
};

async function printSchema(): Promise<void> {
  // Loaded lazily: it takes longer than the other commands.
  const { createSchema, printPublicSchema } = await import('../graphql/schema.js');
  process.stdout.write(printPublicSchema(await createSchema()));
}

async function migrate(): Promise<void> {
  const database = await openDatabase(loadDatabaseConfig(process.env));
  try {
    const applied = await database.migrate();
    process.stdout.write(
      applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'the database is up to date\n',
    );
  } finally {
    await database.close();
  }
}

function usage(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(13)}${summary}`);
  return `Usage: rollup-accounts <command>\n\n${lines.join('\n')}\n\nrollup-accounts <command> --help tells more.\n`;
}

async function main(): Promise<number | undefined> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    strict: false,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  const [name = '', ...rest] = positionals;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (values['help'] && !name) process.stdout.write(usage());
  else if (!command || rest.length > 0 || Object.keys(values).some((option) => option !== 'help')) {
    process.stderr.write(usage());
    return 2;
  } else if (values['help']) {
    process.stdout.write(`rollup-accounts ${name}: ${command.summary}\n\n${command.help}\n`);
  } else {
    await command.run();
    // The server lives on; a command that is done ends, whatever its libraries left open.
    return name === 'serve' ? undefined : 0;
  }
  return 0;
}

function explain(error: unknown): number {
  if (error instanceof AppError) process.stderr.write(`rollup-accounts: ${error.message}\n`);
  if (!(error instanceof AppError) || error.cause) {
    process.stderr.write(`${JSON.stringify({ level: 'fatal', err: describeError(error) })}\n`);
  }
  return 1;
}

const exitCode = await main().catch(explain);
if (exitCode !== undefined) process.exit(exitCode);
