/** What every command does: run with progress on stderr, print on stdout. */
import type { Argv, CommandModule } from 'yargs';
import type { Events } from '../errors/events.ts';
import type { Note } from '../errors/notes.ts';
import { ProgressPrinter } from './progress.ts';
import { type CamelCase, withFlags } from './spelling.ts';

/** What yargs hands a command whose options are `T`, and nothing else: a misspelt name does not compile. */
type Parsed<T> = { readonly [K in keyof T as K extends string ? CamelCase<K> : never]: T[K] } & {
  /** What follows `--`. */
  readonly '--'?: readonly (string | number)[];
};

/**
 * A command of yargs whose handler knows the types of its options; to yargs they all look alike. Handlers import what they run when they run it:
 * whoever asks for help, or has misspelt a word, does not wait for a compiler to load.
 */
export const command = <T>(
  words: string,
  describe: string,
  builder: (y: Argv) => Argv<T>,
  handler: (args: Parsed<T>) => Promise<void>,
): CommandModule => ({ command: words, describe, builder: builder as never, handler: handler as never });

/** A note as the terminal shows it, with flags for the API's options. */
export const formatNote = ({ level, message }: Note): string =>
  withFlags(level === 'warning' ? `WARNING: ${message}` : message);

const interruption = new AbortController();
export const interrupt = (): void => interruption.abort();
export const isInterrupted = (): boolean => interruption.signal.aborted;

/** Runs `work` with progress and notes on stderr, of which --quiet leaves warnings; Ctrl-C stops it. */
export async function watched<T>(
  { quiet = false }: { readonly quiet?: boolean | undefined },
  work: (events: Events) => Promise<T>,
): Promise<T> {
  const tty = process.stderr.isTTY === true && !process.env.CI;
  const progress = new ProgressPrinter({ quiet, tty, write: (line) => process.stderr.write(`${line}\n`) });
  const onNote = (note: Note) => {
    if (!quiet || note.level === 'warning') progress.line(formatNote(note));
  };
  const events = { onProgress: progress.update, onNote, signal: interruption.signal };
  return work(events).finally(() => progress.stop());
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** `value` as JSON with --json, else `text`. */
export function printResult(
  { json }: { readonly json?: boolean | undefined },
  value: unknown,
  text: string,
): void {
  print(json ? JSON.stringify(value, null, 2) : text);
}
