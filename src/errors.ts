/**
 * Every error a user can meet, one function each. An error says what is wrong, where (node, op, value, file),
 * and what to do about it; its code is stable and kebab-case.
 */
export class OfframpError extends Error {
  override readonly name = 'OfframpError';
  /** What was being done when it happened, outermost first. */
  readonly trail: string[] = [];

  constructor(
    /** Stable kebab-case identifier, e.g. `not-an-onnx-file`. */
    readonly code: string,
    /** What is wrong and where. */
    message: string,
    /** What the user can do about it. */
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
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

/** The one line of an unknown thrown thing. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// --- graph ---

export const invalidGraph = (problem: string, where: string) =>
  new OfframpError(
    'invalid-graph',
    `${problem} (${where})`,
    'Check the model with `onnx.checker` or re-export it.',
  );

export const passBrokeInvariant = (pass: string, problem: string) =>
  new OfframpError(
    'pass-broke-invariant',
    `pass ${pass}: ${problem}`,
    'This is a bug in Offramp: please report it with the model.',
  );

// --- parser ---

// --- ort ---

export const sessionFailed = (action: 'load' | 'run', reason: string, cause: unknown) =>
  new OfframpError(
    'session-failed',
    `ONNX Runtime could not ${action} the model: ${reason}`,
    'Does the original load in ONNX Runtime by itself? If it does, please report this.',
    { cause },
  );

// --- data ---

// --- plan ---

// --- train ---

// --- calibrate ---

// --- emit ---

// --- cli ---
