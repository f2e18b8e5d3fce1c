/** What the original's inputs are to a student: maps that it convolves, tokens, and all other numbers as one vector. */
import type { InputSpec, Preprocessing } from '../data/index.ts';
import { isEncoded } from '../data/tokenizer.ts';
import { elementCount } from '../graph/tensor.ts';
import type { StudentReads } from './student.ts';

export interface MapPart {
  readonly kind: 'map';
  readonly input: InputSpec;
  /** Where the channels are in the input's dims; undefined when they are not there, and there is one. */
  readonly channelAxis: number | undefined;
  readonly channels: number;
  /** [H, W], or [1, L] of a signal. */
  readonly size: readonly number[];
  /** What its numbers mean; undefined when that is not known. */
  readonly pixels: Preprocessing | undefined;
}

export interface TokenPart {
  readonly kind: 'tokens';
  readonly ids: InputSpec;
  /** Without it, tokens of id 0 do not count. */
  readonly mask: InputSpec | undefined;
}

export interface VectorPart {
  readonly kind: 'vector';
  /** Side by side. */
  readonly inputs: readonly InputSpec[];
}

export type Part = MapPart | TokenPart | VectorPart;

/** Maps whose sides are all shorter are read as vectors. */
const SMALLEST_SIDE = 4;

/** Of two axes, the shorter one counts channels of a signal below this, or where the longer one is this many times as long. */
const FEW_ROWS = 8;

/** Every input of `reads` that says something of a sample, in its part; maps and tokens first. */
export function partsOf({ inputs, preprocessing, embedding }: StudentReads): readonly Part[] {
  const isIds = ({ name, dims, dataType }: InputSpec) =>
    dims.length === 1 && /^int(32|64)$/.test(dataType) && (name === 'input_ids' || name === embedding?.input);
  const ids = inputs.filter(isIds);
  const about = ids.length > 0 ? inputs.filter((i) => isEncoded(i.name) && !ids.includes(i)) : [];
  const maskOf = ({ dims }: InputSpec) =>
    about.find((input) => input.name === 'attention_mask' && `${input.dims}` === `${dims}`);
  const tokens = ids.map((one): TokenPart => ({ kind: 'tokens', ids: one, mask: maskOf(one) }));
  const others = inputs.filter((input) => !ids.includes(input) && !about.includes(input));
  // Of several inputs none is preprocessed, and the layout is of all of them side by side.
  const maps = others.flatMap(
    (input) => mapPart(input, inputs.length === 1 ? preprocessing : undefined) ?? [],
  );
  const rest = others.filter((input) => maps.every((map) => map.input !== input));
  return [...maps, ...tokens, ...(rest.length > 0 ? [{ kind: 'vector' as const, inputs: rest }] : [])];
}

/** `input` as a map; undefined when it has no axes to convolve along, or is too small. */
function mapPart(input: InputSpec, preprocessing: Preprocessing | undefined): MapPart | undefined {
  const { dims, dataType } = input;
  if (dims.length < 2 || dims.length > 4 || /^(bool|string)$/.test(dataType)) return undefined;
  const channelAxis = channelAxisOf(dims, preprocessing?.layout ?? 'flat');
  const size = channelAxis === undefined ? [...dims] : dims.toSpliced(channelAxis, 1);
  if (size.every((side) => side < SMALLEST_SIDE)) return undefined;
  const channels = channelAxis === undefined ? 1 : dims[channelAxis]!;
  const pixels =
    preprocessing && (dataType === 'uint8' || isStated(preprocessing)) ? preprocessing : undefined;
  return { kind: 'map', input, channelAxis, channels, size: size.length === 1 ? [1, ...size] : size, pixels };
}

/** Whether a user said what the numbers are: they are not fed as they come. */
const isStated = ({ scale, mean, std }: Preprocessing) =>
  scale !== 1 || mean.some((m) => m !== 0) || std.some((s) => s !== 1);

function channelAxisOf(dims: readonly number[], layout: Preprocessing['layout']): number | undefined {
  const last = dims.length - 1;
  if (dims.length === 2) {
    const [short, long] = dims[0]! <= dims[1]! ? [0, 1] : [1, 0];
    const isPicture = layout !== 'flat' && dims[short]! >= FEW_ROWS && dims[long]! <= FEW_ROWS * dims[short]!;
    return isPicture ? undefined : short;
  }
  if (layout !== 'flat') return layout === 'NCHW' ? 0 : last;
  const isColour = (axis: number) => dims[axis] === 1 || dims[axis] === 3;
  if (isColour(0) !== isColour(last)) return isColour(0) ? 0 : last;
  return dims[0]! <= dims[last]! ? 0 : last;
}

/** Numbers a sample of `part`. */
export const widthOf = ({ inputs }: VectorPart): number =>
  inputs.reduce((sum, { dims }) => sum + elementCount(dims), 0);
