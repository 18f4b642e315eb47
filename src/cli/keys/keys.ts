import { type Command, InvalidArgumentError } from 'commander';
import type { Environment } from '../../settings-reader.js';

/** Adds `keys` and its commands. What each needs is imported when it runs. */
export function addKeysCommands(program: Command, env: Environment): void {
  const keys = program
    .command('keys')
    .summary('make, rotate and retire the keys of stored tokens')
    .description(
      'Keys of the ring TOKEN_KEYS. Apart from generate, each command needs DATABASE_URL (or DATA_DIR for the embedded database, whose server has to be stopped).',
    );
  keys
    .command('generate [kid]')
    .summary('print a new key, as an entry of TOKEN_KEYS')
    .description(
      'Prints a new key as an entry of TOKEN_KEYS, once. Generate it in one place and give it to every server: the same kid with other bytes is refused.',
    )
    .action(async (kid?: string) => (await import('./generate.js')).generateCommand(kid));
  keys
    .command('status')
    .summary('show how many accounts need each key, and which servers hold it')
    .option('--json', 'print JSON')
    .action(async (options: { json?: true }) => (await import('./status.js')).statusCommand(env, options));
  addRotate(keys, env);
  addEndings(keys, env);
}

function addRotate(keys: Command, env: Environment): void {
  keys
    .command('rotate')
    .summary('wrap the data key of every account with the first key of TOKEN_KEYS')
    .description(
      'Wraps the data key of every account with the first key of TOKEN_KEYS; no token is touched. Servers go on serving. When it is interrupted, run it again: it continues. Exits with 1 when an account was left with another key.',
    )
    .option('--max-rate <accounts>', 'accounts a second at most', readRate, Number.POSITIVE_INFINITY)
    .option('--force', 'go on although a server that runs lacks the key')
    .action(async (options: { maxRate: number; force?: true }) =>
      (await import('./rotate.js')).rotateCommand(env, options),
    );
}

/** What ends the use of a key. */
function addEndings(keys: Command, env: Environment): void {
  keys
    .command('retire <kid>')
    .summary('mark a key as one that is needed no more')
    .description(
      'Marks a key as one that no account needs, so that it can be taken out of TOKEN_KEYS. Refused while accounts need it or a server seals with it.',
    )
    .action(async (kid: string) => (await import('./retire.js')).retireCommand(env, kid));
  keys
    .command('give-up <kid>')
    .summary('end the accounts whose key is lost')
    .description(
      'For a key that is lost. Its accounts become REAUTHENTICATION_REQUIRED, and what cannot be opened any more is removed. Refused while a server holds the key. Asks for confirmation.',
    )
    .option('--yes', 'do not ask')
    .action(async (kid: string, options: { yes?: true }) =>
      (await import('./give-up.js')).giveUpCommand(env, kid, options),
    );
}

function readRate(value: string): number {
  const rate = /^\d{1,9}$/.test(value) ? Number(value) : 0;
  if (rate === 0) throw new InvalidArgumentError('It must be a whole number from 1.');
  return rate;
}
