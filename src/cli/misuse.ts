/** What yargs complains of, in our words: which option, what was meant, what it is for. */
import { badUsage, type OfframpError } from '../errors.ts';
import { COMMAND_OPTIONS, commandOf, describeOption } from './config.ts';
import { nearest } from './nearest.ts';

/**
 * The error for the complaint `problem` about `words`: with the option or the choice that was meant, and what a missing one is for. `usage`
 * tells how a command is called.
 */
export function misused(
  problem: string,
  words: readonly string[],
  usage: (command: string) => string,
): OfframpError {
  const command = commandOf(words);
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(problem)?.[1];
  if (unknown !== undefined) {
    const near = nearest(unknown, COMMAND_OPTIONS[command ?? ''] ?? []);
    return badUsage(problem, near && `--${near}`, command);
  }
  const invalid = /Argument: ([\w-]+), Given: "([^"]*)", Choices: (.+)/.exec(problem);
  if (invalid) {
    const [, option, value, list] = invalid as unknown as [string, string, string, string];
    const choices = [...list.matchAll(/"([^"]*)"/g)].map(([, choice]) => choice!);
    return badUsage(
      `--${option} is one of ${choices.join(', ')}; not ${value}`,
      nearest(value, choices),
      command,
    );
  }
  if (command !== undefined && problem.startsWith('Not enough non-option arguments'))
    return badUsage(`offramp ${usage(command)}: not all of that was given`, undefined, command);
  const missing = /^Missing required arguments?: (.+)/.exec(problem)?.[1]?.split(', ');
  if (missing && command !== undefined) return optionsMissing(command, missing, words);
  return badUsage(problem, undefined, command);
}

/** For `options` that `command` cannot do without, one of which may be misspelt among `words`. */
export function optionsMissing(
  command: string,
  options: readonly string[],
  words: readonly string[] = [],
): OfframpError {
  const told = options.map((option) => `--${option} (${describeOption(command, option)})`);
  const unknown = words
    .flatMap((word) => /^--([\w-]+)/.exec(word)?.[1] ?? [])
    .filter((name) => !COMMAND_OPTIONS[command]!.includes(name));
  const near = unknown.map((name) => nearest(name, options)).find((name) => name !== undefined);
  return badUsage(`${command} needs ${told.join(' and ')}`, near && `--${near}`, command);
}
