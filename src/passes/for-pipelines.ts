/** A classifier with the inputs and outputs that pipelines of transformers and transformers.js know. */
import { GraphBuilder, makeNode } from '../graph/builder.ts';
import { prune } from '../graph/prune.ts';
import { renameValues } from '../graph/rename.ts';
import { DATA_TYPES, type DataType, type Dim, type Graph, type ValueInfo } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';
import { freeNames } from './free-names.ts';
import type { Pass } from './pass.ts';

/** One input: the model's, and what the pipeline calls it and makes of it. */
export interface PipelineInput {
  /** In the model. */
  readonly name: string;
  readonly dataType: DataType;
  /** Pictures [N, C, H, W]; texts [N, length]. */
  readonly dims: readonly Dim[];
  readonly as: string;
  /** Of pictures: the model has channels last. */
  readonly channelsLast?: boolean;
  /** Of texts where the model takes one length only: what is added to shorter ones, and where. Longer ones are cut on that side. */
  readonly padding?: { readonly value: number; readonly side: 'left' | 'right'; readonly length: number };
}

export interface PipelineOptions {
  readonly inputs: readonly PipelineInput[];
  /** Of class scores. */
  readonly scores: string;
  readonly scoresType: DataType;
  /** The scores are probabilities of a softmax, which pipelines make themselves. */
  readonly areProbabilities: boolean;
  /** Outputs besides the scores. */
  readonly others: readonly string[];
}

/** What pipelines read the scores from. */
export const LOGITS = 'logits';

/**
 * Inputs get the names, types and axes that pipelines feed; the scores are float32, before a softmax, and called `logits`. Other outputs
 * than `others` go. Throws `name-taken`.
 */
export const forPipelines = ({
  inputs,
  scores,
  scoresType,
  areProbabilities,
  others,
}: PipelineOptions): Pass => ({
  name: 'for-pipelines',
  run(graph: Graph): Graph {
    const kept = graph.outputs.filter(({ name }) => name === scores || others.includes(name));
    const wanted = [...inputs.map((input) => input.as), LOGITS];
    const have = [...inputs.map((input) => input.name), scores];
    const free = freeNames(wanted.filter((name, i) => name !== have[i]));
    const freed = free.run(prune({ ...graph, outputs: kept }));

    const b = new GraphBuilder('pipeline/', allNames(freed));
    const names = new Map<string, string>();
    const given = new Map<string, ValueInfo>();
    for (const input of inputs) {
      given.set(input.name, { name: input.as, type: { dataType: feedType(input), dims: feedDims(input) } });
      const inside = needsSteps(input) ? b.fresh(input.as) : input.as;
      names.set(input.name, inside);
      if (inside !== input.as) writeInput(b, input, inside);
    }
    const before = b.nodes.splice(0);
    const isSame = !areProbabilities && scoresType === 'float';
    const inside = isSame ? LOGITS : b.fresh(LOGITS);
    names.set(scores, inside);
    if (!isSame) {
      const value =
        scoresType === 'float' ? inside : b.op('Cast', [inside], { to: DATA_TYPES.indexOf('float') });
      const node = makeNode(areProbabilities ? 'Log' : 'Identity', [value], [LOGITS]);
      // A node of the model may be called as the value that it made before that one was renamed.
      b.nodes.push({ ...node, name: b.fresh('end') });
    }

    const renamed = renameValues(freed, names);
    return {
      ...renamed,
      nodes: [...before, ...renamed.nodes, ...b.nodes],
      initializers: [...renamed.initializers, ...b.initializers],
      inputs: freed.inputs.map((value) => given.get(value.name) ?? value),
      outputs: kept.map((value) => (value.name === scores ? asLogits(value) : value)),
      valueInfo: renamed.valueInfo.filter(({ name }) => name !== LOGITS),
    };
  },
});

const isText = ({ dims }: PipelineInput): boolean => dims.length === 2;

const feedType = (input: PipelineInput): DataType => (isText(input) ? 'int64' : 'float');

function feedDims({ dims, channelsLast, padding }: PipelineInput): readonly Dim[] {
  if (padding) return [dims[0], 'sequence_length'];
  return channelsLast ? [dims[0], dims[3], dims[1], dims[2]] : dims;
}

const needsSteps = (input: PipelineInput): boolean =>
  input.dataType !== feedType(input) || input.channelsLast === true || input.padding !== undefined;

function writeInput(b: GraphBuilder, input: PipelineInput, inside: string): void {
  const { as, dataType, channelsLast, padding } = input;
  let value = as;
  if (padding) value = writePadding(b, value, padding);
  if (channelsLast) value = b.op('Transpose', [value], { perm: [0, 2, 3, 1] });
  const isCast = dataType !== feedType(input);
  // To whole numbers it cuts off, as the package does.
  const to = DATA_TYPES.indexOf(dataType);
  b.op(isCast ? 'Cast' : 'Identity', [value], isCast ? { to } : {}, inside);
}

/** [N, any] → [N, length]: as many are added as there can be room for, and what is too much is cut off again. */
function writePadding(
  b: GraphBuilder,
  value: string,
  { value: pad, side, length }: NonNullable<PipelineInput['padding']>,
): string {
  const pads = b.int64(side === 'right' ? [0, 0, 0, length] : [0, length, 0, 0]);
  const longer = b.op('Pad', [value, pads, b.int64(pad)]);
  const [from, to] = side === 'right' ? [0, length] : [-length, Number.MAX_SAFE_INTEGER];
  return b.op('Slice', [longer, b.int64([from]), b.int64([to]), b.int64([1])]);
}

const asLogits = ({ type }: ValueInfo): ValueInfo => ({
  name: LOGITS,
  type: type && { ...type, dataType: 'float' },
});
