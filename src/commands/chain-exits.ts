/** The exits of the whole chain, ready to predict: those of the networks in front beside the original's. */

import type { Dataset } from '../data/index.ts';
import type { Chain, Network } from '../networks/chain.ts';
import type { Head } from '../passes/exits.ts';
import type { NetworkWithExits } from '../passes/lower-exits.ts';
import type { Predictions } from '../predict/predict.ts';
import { headsFileOf } from './kept-heads.ts';
import type { CompileContext } from './project.ts';
import { predictHeads, type ReadyExits } from './ready-exits.ts';

/** The networks of `chain`, each with its own of `heads`. */
export const networksWith = ({ networks }: Chain, heads: readonly Head[]): NetworkWithExits[] =>
  networks.map(({ typed }, n) => ({ typed, heads: heads.filter(({ exit }) => exit.network === n) }));

/** `own`, the original's exits, behind those of the networks in front of it. */
export function withFirsts(context: CompileContext, own: ReadyExits): ReadyExits {
  const firsts = context.chain.networks.slice(0, -1);
  if (firsts.length === 0) return own;
  const heads = [...firsts.flatMap((network) => network.heads), ...own.heads];
  const each = firsts.map((network) => predictFirst(context, network));
  return {
    ...own,
    heads,
    headsFile: headsFileOf(heads),
    async predict(dataset, phase) {
      const found: Predictions[] = [];
      for (const first of each) found.push(await first.predict(dataset, phase));
      return joined(found, await own.predict(dataset, phase));
    },
    async predictAlone(dataset) {
      const found: Predictions[] = [];
      for (const first of each) found.push(await first.predictAlone(dataset));
      return joined(found, await own.predictAlone(dataset));
    },
  };
}

/** Predictions of a network in front: its end, where that is an exit, is the last. */
function predictFirst(
  context: CompileContext,
  network: Network,
): Pick<ReadyExits, 'predict' | 'predictAlone'> {
  const heads = network.heads.filter(({ kind }) => kind !== 'end');
  const hasEnd = heads.length < network.heads.length;
  const { predict, predictAlone } = predictHeads(context, network, heads);
  const order = network.reading?.classOrder;
  const withEnd = (predictions: Predictions): Predictions => {
    if (!hasEnd) return predictions;
    const end = order ? reordered(predictions.original, order) : predictions.original;
    return {
      ...predictions,
      logits: [...predictions.logits, end],
      confidence: [...predictions.confidence, new Float32Array(predictions.labels.length)],
    };
  };
  return {
    predict: async (dataset: Dataset, phase: string) => withEnd(await predict(dataset, phase)),
    predictAlone: async (dataset: Dataset) => withEnd(await predictAlone(dataset)),
  };
}

/** Rows of `logits` with class c from column `order[c]`. */
const reordered = (logits: Float32Array, order: readonly number[]): Float32Array =>
  logits.map((_, at) => logits[at - (at % order.length) + order[at % order.length]!]!);

/** The exits of all networks; the last answer is the original's. */
const joined = (firsts: readonly Predictions[], original: Predictions): Predictions => ({
  ...original,
  logits: [...firsts.flatMap(({ logits }) => logits), ...original.logits],
  confidence: [...firsts.flatMap(({ confidence }) => confidence), ...original.confidence],
});
