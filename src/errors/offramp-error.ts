/** What a user meets when something is wrong: what it is, where (node, op, value, file), and what to do about it. */
export class OfframpError extends Error {
  override readonly name = 'OfframpError';
  /** What was being done when it happened, outermost first. */
  readonly trail: string[] = [];
  /** What the user can do about it. */
  hint: string;

  constructor(
    /** Stable kebab-case identifier, e.g. `not-an-onnx-file`. */
    readonly code: string,
    /** What is wrong and where. */
    message: string,
    hint: string,
    options?: ErrorOptions,
  ) {
    super(printable(message), options);
    this.hint = printable(hint);
  }
}

/** No message is longer. */
const MOST_CHARACTERS = 4000;

/** Names out of a file may hold control characters, which a terminal obeys, and may be endless. */
function printable(text: string): string {
  const code = (c: string) => c.charCodeAt(0).toString(16).padStart(2, '0');
  const shown = text.slice(0, MOST_CHARACTERS + 1).replace(/[^\P{Cc}\n\t]/gu, (c) => `\\x${code(c)}`);
  return shown.length > MOST_CHARACTERS ? `${shown.slice(0, MOST_CHARACTERS - 1)}…` : shown;
}

/** Runs `fn`; an error that rises through it gains `step` (e.g. `pass attach-exits`) at the head of its trail. */
export function within<T>(step: string, fn: () => T): T {
  const note = (error: unknown): never => {
    if (error instanceof OfframpError) error.trail.unshift(step);
    throw error;
  };
  try {
    const result = fn();
    return result instanceof Promise ? (result.catch(note) as T) : result;
  } catch (error) {
    return note(error);
  }
}

/** `error` whose message begins with the `name` of the one network of several that it is about, unless it has that name. */
export function ofNetwork<T>(name: string, error: T): T {
  if (error instanceof OfframpError && !error.message.includes(name))
    error.message = printable(`${name}: ${error.message}`);
  return error;
}

/** The one line of an unknown thrown thing. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Dims as people write them. */
export const shown = (dims: readonly number[]): string => `[${dims.join(', ')}]`;
