/** The command line: its commands, what it says of misuse, and its exit codes. No logic of the compiler lives here. */
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { VERSION } from '../emit/version.ts';
import { EXIT_CODES, messageOf, notPrinted, OfframpError } from '../errors/index.ts';
import { interrupt, isInterrupted } from './command.ts';
import { calibrateCommand } from './commands/calibrate.ts';
import { compareCommand } from './commands/compare.ts';
import { compileCommand } from './commands/compile.ts';
import { emitCommand } from './commands/emit.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { exportCommand } from './commands/export.ts';
import { featuresCommand } from './commands/features.ts';
import { inspectCommand } from './commands/inspect.ts';
import { splitCommand } from './commands/split.ts';
import { settingsFor } from './config.ts';
import { renewWords } from './former-words.ts';
import { misused, refuseLooseWords, refuseOddFlags } from './misuse.ts';
import { withFlags } from './spelling.ts';
import { refusal } from './yargs-options.ts';

const INTERRUPTED = 130;

const words = renewWords(hideBin(process.argv));

const COMMANDS = [
  inspectCommand,
  compileCommand,
  featuresCommand,
  calibrateCommand,
  evaluateCommand,
  compareCommand,
  splitCommand,
  emitCommand,
  exportCommand,
];
/** `compile <model>` */
const usage = (name: string) =>
  COMMANDS.map(({ command }) => String(command)).find((words) => words.split(' ')[0] === name) ?? name;

/** What yargs makes of `words`. */
export const cliFor = (words: readonly string[]) =>
  yargs([...words])
    // What a shell completes is a command, not a line of words.
    .scriptName(words[0] === 'completion' ? 'offramp' : 'npx onnx-offramp')
    .usage(
      '$0 <command>\n\nTurns a trained ONNX classifier into one early-exit ONNX model and a TypeScript package.',
    )
    .version(VERSION)
    .command(COMMANDS)
    .completion('completion', 'Print what makes bash or zsh (by $SHELL) complete commands and options')
    .option('config', {
      type: 'string',
      global: true,
      describe: 'file with options (default: offramp.config.json, if it is here)',
    })
    // Not at once: what was printed last may still turn out to have no room (`onStdoutError`).
    .exitProcess(false)
    .demandCommand(1, 'Which command? See npx onnx-offramp --help.')
    .recommendCommands()
    .strict()
    .parserConfiguration({ 'populate--': true, 'dot-notation': false })
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .epilogue(
      'Exit codes: 0 done; 1 failed, or a check did not hold; 2 bad usage or input; 130 interrupted.\nProgress goes to stderr, results to stdout. Nothing is coloured.',
    )
    .fail((message, error) => {
      throw refusal() ?? error ?? misused(message, words, usage);
    });

export const cli = cliFor(words);

/** Whoever reads the output may have seen enough: `offramp inspect net.onnx | head`. What cannot be printed otherwise is a failure. */
function onStdoutError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit();
  tell(notPrinted(messageOf(error), error));
  process.exit(process.exitCode);
}
process.stdout.on('error', onStdoutError);
// Progress that nobody can see is no reason to stop.
process.stderr.on('error', () => {});

/** Prints `error` and what to do, and sets the exit code. */
function tell(error: OfframpError): void {
  const { code, message, hint, trail } = error;
  const while_ = trail.length > 0 && process.env.OFFRAMP_DEBUG ? `\n  while: ${trail.join(' › ')}` : '';
  process.stderr.write(`offramp: ${withFlags(message)} [${code}]\n  ${withFlags(hint)}${while_}\n`);
  process.exitCode = EXIT_CODES.get(code) ?? 1;
}

process.once('SIGINT', () => {
  interrupt();
  process.once('SIGINT', () => process.exit(INTERRUPTED));
});

try {
  refuseLooseWords(words);
  refuseOddFlags(words);
  await cli.config(settingsFor(words)).parseAsync();
} catch (error) {
  if (isInterrupted()) {
    process.stderr.write('\nInterrupted. The same command goes on from what is in the cache.\n');
    process.exitCode = INTERRUPTED;
  } else if (error instanceof OfframpError) {
    tell(error);
  } else {
    process.stderr.write(
      `offramp: ${error instanceof Error ? (process.env.OFFRAMP_DEBUG ? error.stack : error.message) : error}\n  This is a bug: please report it (OFFRAMP_DEBUG=1 shows more).\n`,
    );
    process.exitCode = 1;
  }
}
