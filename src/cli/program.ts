import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { AppError } from '../errors.js';
import type { Environment } from '../settings-reader.js';
import { addIssuerCommands } from './issuer/issuer.js';
import { addKeysCommands } from './keys/keys.js';

/**
 * Runs a command, or prints help or the version. Results go to standard output, everything else to standard error.
 *
 * Resolves with the exit code: 0 done, 1 failed, 2 wrong usage; undefined for a server, which goes on.
 */
export async function runCommandLine(args: readonly string[], env: Environment): Promise<number | undefined> {
  const program = createProgram(env);
  try {
    await program.parseAsync(args, { from: 'user' });
    // A command that is done ends, whatever its libraries left open.
    return program.args[0] === 'serve' ? undefined : 0;
  } catch (error) {
    // Commander has told what is wrong, or was asked for help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    await explain(error);
    return 1;
  }
}

/** What each command needs is imported when it runs, so that help comes at once. */
function createProgram(env: Environment): Command {
  const program = new Command('rollup-accounts')
    .description('GraphQL server that links the users of an application to Rollup ID.')
    .version(packageVersion(), '--version', 'print the version')
    .showHelpAfterError('rollup-accounts --help tells more.')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, 'rollup-accounts:')) })
    .exitOverride();
  program
    .command('serve')
    .summary('run the server (what npm start does)')
    .description(
      'Runs the server. It reads its settings from the environment; docs/settings.md of the repository lists them. Without any it runs everything embedded. Stops on SIGTERM within SHUTDOWN_GRACE_MS.',
    )
    .action(async () => (await import('../server.js')).serve(env));
  program
    .command('migrate')
    .summary('bring the database up to date and exit')
    .description(
      'Brings the database up to date. Needs DATABASE_URL (or DATA_DIR for the embedded database) and nothing else. Safe to run several at once.',
    )
    .action(async () => (await import('./migrate.js')).migrateCommand(env));
  addKeysCommands(program, env);
  addIssuerCommands(program, env);
  addDoctor(program, env);
  program
    .command('schema')
    .summary('print the GraphQL schema')
    .description('Prints the public schema as SDL. The file schema/schema.graphql holds the same text.')
    .action(async () => (await import('./schema.js')).schemaCommand());
  return program;
}

function addDoctor(program: Command, env: Environment): void {
  program
    .command('doctor')
    .summary('check settings, database, provider and Galaxy, and exit')
    .description(
      'Checks what a server needs with the settings of the environment, and says what to do: settings, database, provider, client credentials, redirect URIs, Galaxy key and clocks. Changes nothing, and uses one request of the budget of Galaxy. Exits with 1 when a check failed.',
    )
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }) => (await import('./doctor.js')).doctorCommand(env, options));
}

function packageVersion(): string {
  const path = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

async function explain(error: unknown): Promise<void> {
  const { describeError, describeOutcome, redactSecrets } = await import('../log.js');
  const { explainDatabaseError, isDatabaseError } = await import('./doctor/database-error.js');
  const write = (text: string): void => void process.stderr.write(`${redactSecrets(text)}\n`);
  const isKnown = error instanceof AppError || isDatabaseError(error);
  // A sentence may name an argument: of one who gives an entry of the ring for a kid, the key. It may name what somebody
  // wrote into the database, which must not reach a terminal as a control character.
  if (error instanceof AppError) write(`rollup-accounts: ${error.message.replaceAll(/[^\P{Cc}\n]/gu, '?')}`);
  else if (isKnown) {
    const { message, advice = '' } = explainDatabaseError(error);
    write(`rollup-accounts: ${message} ${advice}`);
  }
  if (error instanceof AppError && !error.cause) return;
  const err = isKnown ? describeOutcome(error) : describeError(error);
  write(JSON.stringify({ level: 'fatal', err }));
}
