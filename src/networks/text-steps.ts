/** Token ids, and what goes with them, at the length and of the type that a first network takes. Both networks share a tokenizer. */
import { isEncoded } from '../data/tokenizer.ts';
import type { InputSpec } from '../data/types.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { cast, nodeStep, type Step } from './steps.ts';

/** How an input is made of another. */
export interface TextLink {
  readonly from: InputSpec;
  readonly steps: readonly Step[];
}

/**
 * Given `input_ids`, `attention_mask` or `token_type_ids` of a network, [N, length]: how it is made of those of `originals`. Undefined for other
 * inputs, and when `originals` has no `input_ids`. Texts are padded at their end, with id 0.
 *
 * A text that is too long is cut, and its last token, which ends it, takes the place of the last that is kept. A shorter one is padded. A mask that
 * `originals` has not is 1 where the id is not 0; types that it has not are 0.
 */
export function textLinks(originals: readonly InputSpec[]): (to: InputSpec) => TextLink | undefined {
  const given = (name: string) => originals.find((input) => input.name === name && isOfTokens(input));
  const ids = given('input_ids');
  if (!ids) return () => undefined;
  const mask = given('attention_mask') ?? ids;
  const ends = new Map<number, string>();
  const endIn = (b: GraphBuilder, length: number): string => {
    const end = ends.get(length) ?? lastToken(b, mask, length);
    ends.set(length, end);
    return end;
  };
  return (to) => {
    if (!isEncoded(to.name) || !isOfTokens(to)) return undefined;
    const from = given(to.name) ?? ids;
    const isMade = from.name !== to.name;
    const keepsEnd = to.name !== 'attention_mask' && !isMade;
    const made = isMade ? [to.name === 'attention_mask' ? cast('bool', to.name) : zeros(to.name)] : [];
    const type = isMade && to.name === 'attention_mask' ? 'bool' : from.dataType;
    const told = from.dataType === to.dataType ? undefined : to.dataType;
    return {
      from,
      steps: [
        ...lengthSteps(from.dims[0]!, to.dims[0]!, keepsEnd ? endIn : undefined),
        ...made,
        ...(type === to.dataType ? [] : [cast(to.dataType, told)]),
      ],
    };
  };
}

const isOfTokens = ({ dims, dataType }: InputSpec): boolean =>
  dims.length === 1 && (dataType === 'int64' || dataType === 'int32');

const zeros = (told: string): Step => ({ told, write: (b, value) => b.op('Sub', [value, value]) });

/** [N, from] → [N, to]. `endIn` gives the place of each text's last token, [N, 1], where that is kept. */
function lengthSteps(
  from: number,
  to: number,
  endIn?: (b: GraphBuilder, length: number) => string,
): readonly Step[] {
  const told = `${from} → ${to} tokens`;
  if (from === to) return [];
  if (from < to) return [nodeStep('Pad', {}, (b) => [b.int64([0, 0, 0, to - from])], told)];
  if (!endIn) return [firstOf(to, told)];
  const write: Step['write'] = (b, value) => {
    const end = b.op('GatherElements', [value, endIn(b, to)], { axis: 1 });
    return b.op('Concat', [firstOf(to - 1).write(b, value), end], { axis: 1 });
  };
  return [{ told, write }];
}

/** [N, more] → [N, length] */
const firstOf = (length: number, told?: string): Step =>
  nodeStep('Slice', {}, (b) => [b.int64([0]), b.int64([length]), b.int64([1])], told);

/** Where the last token of each text is that `mask` counts, or `length` - 1 when it is earlier: [N, 1]. */
function lastToken(b: GraphBuilder, mask: InputSpec, length: number): string {
  const counts = cast('float').write(b, cast('bool').write(b, mask.name));
  const places = b.float(Array.from({ length: mask.dims[0]! }, (_, i) => i + 1));
  const last = b.op('ArgMax', [b.op('Mul', [counts, places])], { axis: 1, keepdims: 1 });
  const kept = b.int64(length - 1);
  return b.op('Where', [b.op('Greater', [last, kept]), last, kept]);
}
