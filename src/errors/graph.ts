/** Of graphs that are not valid, and of passes that would leave one. */
import { OfframpError } from './offramp-error.ts';

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
