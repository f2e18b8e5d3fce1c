/** Options about heads on the original: who sets one, and says nothing of other networks, wants heads. */

/** Where heads go, instead of `taps`. */
export const PLACES = ['placement', 'exits'] as const;

/** How heads are built and trained. */
export const TRAINING = [
  ...(['head', 'features', 'views', 'recipe'] as const),
  ...(['lambda', 'survivors', 'epochs', 'batch', 'learningRate'] as const),
] as const;

const PLACING = [...PLACES, 'taps', 'exitOutputs'] as const;
const HEAD_OPTIONS = ['taps', ...PLACES, ...TRAINING] as const;
export type HeadOptions = Readonly<Partial<Record<(typeof HEAD_OPTIONS)[number], unknown>>>;

/** Whether `options` say anything of heads. */
export const saysOfHeads = (options: HeadOptions): boolean =>
  HEAD_OPTIONS.some((name) => options[name] !== undefined && options[name] !== false);

/** Whether exits along the original are wanted beside those of networks in front of it. */
export const asksForExits = (
  options: Readonly<Partial<Record<(typeof PLACING)[number], unknown>>>,
): boolean => PLACING.some((name) => options[name] !== undefined);
