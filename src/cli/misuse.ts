/** What yargs complains of, in our words: which option, what was meant, what it is for. */

import { flag } from '../commands/option-rules.ts';
import { badOption, badUsage, type OfframpError } from '../errors/index.ts';
import { nearest } from '../errors/nearest.ts';
import { COMMAND_OPTIONS, commandOf, describeOption } from './config.ts';
import { ruleOf } from './yargs-options.ts';

/**
 * The error for the complaint `problem` about `words`: with the option that was meant, and what a missing one is for. `usage` gives how a
 * command is called.
 */
export function misused(
  problem: string,
  words: readonly string[],
  usage: (command: string) => string,
): OfframpError {
  const command = commandOf(words);
  // To yargs the command is then the value of an option that it does not know yet.
  if (command !== undefined && words[0]?.startsWith('-') && /^(Unknown|Which)/.test(problem))
    return badUsage(`options go behind the command: ${command} … ${words[0]}`, undefined, command);
  if (command === undefined && /^(Unknown argument|Did you mean)/.test(problem)) {
    const error = noCommand(words);
    if (error) return error;
  }
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(problem)?.[1];
  if (unknown !== undefined) {
    const near = nearest(unknown, COMMAND_OPTIONS[command ?? ''] ?? []);
    return badUsage(problem, near && `--${near}`, command);
  }
  if (command !== undefined && problem.startsWith('Not enough non-option arguments'))
    return badUsage(`offramp ${usage(command)}: not all of that was given`, undefined, command);
  const missing = /^Missing required arguments?: (.+)/.exec(problem)?.[1]?.split(', ');
  if (missing && command !== undefined) return optionsMissing(command, missing, words);
  return badUsage(problem, undefined, command);
}

/** For `words` that call none of our commands; undefined where they call none at all. */
function noCommand(words: readonly string[]): OfframpError | undefined {
  const [first, second] = words.filter((word) => !word.startsWith('-'));
  const isGroup = Object.keys(COMMAND_OPTIONS).some((name) => name.startsWith(`${first} `));
  const called = isGroup ? second : first;
  if (called === undefined) return undefined;
  const group = isGroup ? `${first} ` : '';
  const known = Object.keys(COMMAND_OPTIONS).filter((name) => name.startsWith(group));
  const names = [...new Set(known.map((name) => name.slice(group.length).split(' ')[0]!))];
  const problem = `there is no command ${JSON.stringify(group + called)}; there are ${names.join(', ')}`;
  return badUsage(problem, nearest(called, names), isGroup ? first : undefined);
}

/** For `options` that `command` cannot do without, one of which may be misspelt among `words`. */
export function optionsMissing(
  command: string,
  options: readonly string[],
  words: readonly string[] = [],
): OfframpError {
  const described = options.map((option) => `--${option} (${describeOption(command, option)})`);
  const unknown = words
    .flatMap((word) => /^--([\w-]+)/.exec(word)?.[1] ?? [])
    .filter((name) => !COMMAND_OPTIONS[command]!.includes(name));
  const near = unknown.map((name) => nearest(name, options)).find((name) => name !== undefined);
  return badUsage(`${command} needs ${described.join(' and ')}`, near && `--${near}`, command);
}

/** Throws `bad-usage` for words behind `--`, which yargs passes over; `export k8s` alone has a use for them. */
export function refuseLooseWords(words: readonly string[]): void {
  const end = words.indexOf('--');
  const command = commandOf(end < 0 ? words : words.slice(0, end));
  // A shell may ask how `--` goes on.
  if (end < 0 || command === 'export k8s' || words[0] === '--get-yargs-completions') return;
  throw badUsage('words behind -- are for export k8s alone', undefined, command);
}

/** Throws `bad-option` for what yargs would take for yes or no without a word: `--force=maybe`, and one that is given twice. */
export function refuseOddFlags(words: readonly string[]): void {
  const command = commandOf(words) ?? '';
  const end = words.indexOf('--');
  const given = new Set<string>();
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const [, name, value] = /^--(?:no-)?([\w-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const rule = name === undefined ? undefined : ruleOf(command, name);
    if (rule !== flag) continue;
    if (given.has(name!)) throw badOption(word, '(again)', 'it once');
    given.add(name!);
    if (value !== undefined && value !== 'true' && value !== 'false')
      throw badOption(`--${name}`, value, flag.wanted);
  }
}
