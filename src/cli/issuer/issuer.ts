import { type Command, InvalidArgumentError } from 'commander';
import type { Environment } from '../../settings-reader.js';

/** Adds `issuer` and its command. What it needs is imported when it runs. */
export function addIssuerCommands(program: Command, env: Environment): void {
  program
    .command('issuer')
    .summary('rename the issuer of linked accounts')
    .description('The issuer that accounts and their tokens are of.')
    .command('move')
    .summary('rename the issuer of linked accounts, after a custom domain came')
    .description(
      'Renames an issuer that got another address, with the same keys and the same subjects: its accounts stay those of their users, and their tokens are sealed for the new name. Needs DATABASE_URL (or DATA_DIR for the embedded database, whose server has to be stopped) and TOKEN_KEYS. Servers may run with the new name. When it is interrupted, run it again: it continues. Exits with 1 when an account was left.',
    )
    .argument('<old>', 'the origin that accounts name now', readOrigin)
    .argument('<new>', 'the origin that ROLLUP_ISSUER names from now on', readOrigin)
    .option('--force', 'go on although a server may name the old one, and do not compare keys')
    .action(async (from: string, to: string, options: { force?: true }) =>
      (await import('./move.js')).moveCommand(env, from, to, options),
    );
}

function readOrigin(value: string): string {
  if (URL.parse(value)?.origin === value) return value;
  throw new InvalidArgumentError('It must be an origin such as https://passport.rollup.id.');
}
