/** Of students: the small networks that Offramp builds itself. */
import { OfframpError } from './offramp-error.ts';
import { optionText } from './option.ts';

const percent = (share: number) => `${Number((100 * share).toPrecision(3))} %`;

/** `smallest`: a share that can be asked for. */
export const studentTooLarge = (share: number, smallest: number) =>
  new OfframpError(
    'student-too-large',
    `no student is as small as ${percent(share)} of the original: the smallest takes ${percent(smallest)} of its multiply-accumulates`,
    smallest < 1
      ? `Ask for a share of ${smallest} or more.`
      : `A student would cost more than the original itself: train heads alone, with ${optionText('effort', 'low')}.`,
  );

export const studentUnlike = (
  family: string,
  families: readonly string[],
  inputs: readonly { readonly name: string; readonly dataType: string; readonly dims: readonly number[] }[],
) =>
  new OfframpError(
    'student-unlike',
    `a student of the family ${family} cannot read ${inputs.map(({ name, dataType, dims }) => `${name} ${dataType} [${dims.join(', ')}]`).join(', ')}`,
    `Families for these inputs: ${families.join(', ')}.`,
  );

export const noInnerExit = (exits: number, most: number) =>
  new OfframpError(
    'no-inner-exit',
    `a student of this form cannot have ${exits} exits`,
    most > 1
      ? `It can have up to ${most}, its end included; a larger one may have more.`
      : 'There is no place inside for one: ask for one exit, or for a larger share, which may be a deeper form.',
  );
