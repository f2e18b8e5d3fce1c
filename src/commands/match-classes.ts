/** Whether the networks in front have the original's classes, before anything is trained or searched. */
import { plainName } from '../data/class-names.ts';
import { type Dataset, partition } from '../data/index.ts';
import { chainOf, costsOfChain, type Network } from '../networks/chain.ts';
import { classOrder } from '../networks/class-names.ts';
import { inOrder } from '../passes/end-exit.ts';
import { answersOf } from '../predict/predict.ts';
import { checkSameClasses } from '../predict/same-classes.ts';
import type { CompileContext } from './project.ts';

/** Calibration samples that networks are compared on. */
export const COMPARED = 1000;

/**
 * `context` with the classes of every network in the original's order: by their names where both are known, else as they are. Each network is
 * run on some calibration samples: one that hardly agrees with the original is refused. Students have its classes. Throws `first-disagrees`, `first-classes-unlike`.
 */
export async function matchClasses(context: CompileContext): Promise<CompileContext> {
  const { chain, splits, seed, predicting, events } = context;
  const isGiven = ({ reading }: Network) => reading !== undefined && reading.grown === undefined;
  const firsts = chain.networks.filter(isGiven);
  const { dataset } = splits.calibration;
  if (firsts.length === 0) return context;
  const original = chain.networks.at(-1)!;
  const { classes } = original.typed;
  // Data may name the classes in other words than both models do.
  const lists = [splits.classes?.names, original.classNames].filter((names) => names !== undefined);
  const matched = firsts.map((network) => matchNames(network, namesLike(network, lists)));
  if (!dataset.random) {
    const share = Math.min(1, COMPARED / dataset.size);
    const { compared } = partition(dataset, { compared: share }, seed);
    const answers = await answersOf(compared, predicting);
    for (const network of matched) {
      const own = { name: network.file, answers: await answersIn(network, compared, context) };
      const labels = compared.unlabelled ? undefined : compared.labels;
      const note = checkSameClasses(own, { answers }, labels, classes);
      if (note) events.onNote?.(note);
    }
  }
  const inTheirOrder = chainOf(
    chain.networks.map((network) => matched.find(({ id }) => id === network.id) ?? network),
  );
  return { ...context, chain: inTheirOrder, heads: inTheirOrder.heads, costs: costsOfChain(inTheirOrder) };
}

/** Of `lists`, names of the original's classes, the one that has those of `network`; the first where none does. */
function namesLike({ classNames = [] }: Network, lists: readonly (readonly string[])[]) {
  const hasAll = (names: readonly string[]) => {
    const known = new Set(names.map(plainName));
    return classNames.every((name) => known.has(plainName(name)));
  };
  return lists.find(hasAll) ?? lists[0];
}

/** `network` with its exits in the order of the original's `names`, if it knows its own. */
function matchNames(network: Network, names: readonly string[] | undefined): Network {
  const { classNames, file } = network;
  if (!classNames || !names) return network;
  const order = [...classOrder(classNames, names, file)];
  if (order.every((own, c) => own === c)) return network;
  return {
    ...network,
    reading: { ...network.reading!, classOrder: order },
    heads: network.heads.map((head) => inOrder(head, order)),
  };
}

/** [size]: the class that `network` answers with, by the original's order. */
async function answersIn(
  { typed, hash, reading }: Network,
  dataset: Dataset,
  { predicting }: CompileContext,
): Promise<Int32Array> {
  const answers = await answersOf(dataset, { ...predicting, typed, modelHash: hash });
  const order = reading?.classOrder;
  return order ? answers.map((own) => order.indexOf(own)) : answers;
}
