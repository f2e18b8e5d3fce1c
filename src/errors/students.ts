/** Of students: the small networks that Offramp builds itself. */
import { OfframpError } from './offramp-error.ts';
import { option, optionText } from './option.ts';

const percent = (share: number) => `${Number((100 * share).toPrecision(3))} %`;

/** `smallest`: a share that can be asked for; `family`: set where one was asked for. */
export const studentTooLarge = (share: number, smallest: number, family: string | undefined) =>
  new OfframpError(
    'student-too-large',
    `no ${family === undefined ? 'student' : `student of the family ${family}`} is as small as ${percent(share)} of the original: the smallest takes ${percent(smallest)} of its multiply-accumulates`,
    `${smallest < 1 ? `Ask for a share of ${smallest} or more` : `It would cost more than the original itself: train heads alone, with ${optionText('effort', 'low')}`}${family === undefined ? '' : `, or leave ${option('studentFamily')} out: others may be smaller`}.`,
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
      : `There is no place inside for one: leave ${option('studentExits')} out, or ask for a larger share or another family, which may have one.`,
  );
