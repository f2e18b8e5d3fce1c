/** A model that has exits already: its branches become heads, which lowering puts back behind Ifs. */
import { exitClassesDiffer, exitNotApart, tooFewExitOutputs } from '../errors/index.ts';
import { makeNode } from '../graph/builder.ts';
import { prune } from '../graph/prune.ts';
import { renameNode } from '../graph/rename.ts';
import { int64Tensor } from '../graph/tensor.ts';
import type { Graph, Node } from '../graph/types.ts';
import { ancestors, dependents, indexGraph, inOrder, nodeReads } from '../graph/walk.ts';
import { nodeMacs } from './count-macs.ts';
import { enterTwoClasses } from './enter-two-classes.ts';
import type { ExitPlan, Head, TypedModel } from './exits.ts';
import { findClassifier } from './find-classifier.ts';
import { planExits } from './plan-exits.ts';

export interface ExistingExits {
  /** The model with its exits; those of one score have logits of two classes there. */
  readonly whole: TypedModel;
  /** Of the model without its exits. */
  readonly plan: ExitPlan;
  readonly heads: readonly Head[];
  /** Values of the whole model: each exit's logits, in the order samples meet them, then the last output's. */
  readonly answers: readonly string[];
}

interface Branch {
  readonly output: string;
  readonly logits: string;
  readonly nodes: ReadonlySet<Node>;
  readonly tap: string;
}

/**
 * `outputs` names the graph outputs that carry class scores, earliest first, the whole model's own last. An exit's branch is what
 * leads to its scores and not to the last ones; it must read one value of the backbone, which several exits may read. It is empty where
 * the rest of the model reads the exit's scores. A Softmax at an exit's end is left off: exits answer with logits. Exits on one value
 * come in the order of `outputs`. Throws `too-few-exit-outputs`, `unknown-output`, `no-class-scores`, `exit-classes-differ`,
 * `exit-not-apart`, and what `planExits` throws for a tap.
 */
export function extractExits(original: TypedModel, outputs: readonly string[]): ExistingExits {
  const exits = outputs.slice(0, -1);
  if (exits.length === 0 || new Set(outputs).size < outputs.length) throw tooFewExitOutputs(outputs);
  let typed = original;
  const ends = exits.map((output) => {
    const { classes, logits, isOneScore } = findClassifier(typed.model, typed.facts, output);
    if (classes !== typed.classes) throw exitClassesDiffer(output, classes, typed.output, typed.classes);
    if (!isOneScore) return { output, logits };
    const split = enterTwoClasses({ ...typed, logits });
    typed = { ...split, logits: typed.logits };
    return { output, logits: split.logits };
  });
  refuseSameScores(ends, typed);
  const branches = ends.map((end) => findBranch(typed, end));
  const kept = typed.model.graph.outputs.filter((v) => !exits.includes(v.name));
  const graph = prune({ ...typed.model.graph, outputs: kept });
  const backbone = { ...typed, model: { ...typed.model, graph } };
  const taps = planExits(backbone, { taps: branches.map(({ tap }) => tap) });
  const placed = taps.exits.flatMap((exit) =>
    branches.filter(({ tap }) => tap === exit.tap.value).map((branch) => ({ branch, exit })),
  );
  const dims = (value: string) => typed.facts.get(value)?.dims;
  const given = placed.map(({ branch, exit }, i): Head => {
    const macs = [...branch.nodes].reduce((sum, node) => sum + (nodeMacs(node, dims) ?? 0), 0);
    return { exit: { ...exit, id: `exit_${i + 1}` }, kind: 'given', graph: headOf(typed, branch), macs };
  });
  const plan = { ...taps, exits: given.map(({ exit }) => exit) };
  const logits = placed.map(({ branch }) => branch.logits);
  return { whole: typed, plan, heads: given, answers: [...logits, typed.logits] };
}

/** Throws `exit-not-apart` where two outputs, one with a Softmax perhaps, have the same logits. `last`: the whole model's. */
function refuseSameScores(
  exits: readonly Pick<Branch, 'output' | 'logits'>[],
  last: Pick<Branch, 'output' | 'logits'>,
): void {
  for (const [i, { output, logits }] of exits.entries()) {
    const rival = [last, ...exits.slice(0, i)].find((other) => other.logits === logits);
    if (rival) throw exitNotApart(output, `${rival.output} has the same scores`);
  }
}

function findBranch(typed: TypedModel, { output, logits }: Pick<Branch, 'output' | 'logits'>): Branch {
  const { model } = typed;
  const { producer } = indexGraph(model.graph);
  const sampled = dependents(model.graph, typed.sampleInputs);
  const path = ancestors(model.graph, [typed.logits]);
  const nodes = new Set<Node>();
  const taps = new Set<string>();
  for (const stack = [logits]; stack.length > 0; ) {
    const value = stack.pop()!;
    const maker = producer.get(value);
    if (sampled.has(value) && (!maker || path.has(maker))) taps.add(value);
    else if (maker && !nodes.has(maker)) {
      nodes.add(maker);
      stack.push(...nodeReads(maker));
    }
  }
  const [tap, ...others] = taps;
  if (taps.has(typed.logits)) throw exitNotApart(output, "it is computed from the model's own scores");
  if (tap === undefined) throw exitNotApart(output, 'it does not depend on the input');
  if (others.length > 0)
    throw exitNotApart(output, `it reads several values of the backbone: ${[...taps].join(', ')}`);
  return { output, logits, nodes, tap };
}

/** The branch as a head: input `features` [N, ...tap dims] float, output `logits` [N, classes] float. */
function headOf(typed: TypedModel, { logits, nodes, tap }: Branch): Graph {
  const { graph } = typed.model;
  const { initializer } = indexGraph(graph);
  const tapFact = typed.facts.get(tap)!;
  const own = inOrder(graph, nodes);
  const read = new Set(own.flatMap(nodeReads).filter((name) => initializer.has(name)));
  const names = new Map([...read, ...own.flatMap((n) => n.outputs)].map((name) => [name, `own/${name}`]));
  const half = tapFact.dataType === 'float16';
  names.set(tap, half ? 'features/half' : 'features');
  const columns = int64Tensor('own columns', [2], [-1, typed.classes]);
  const found = names.get(logits)!;
  return {
    name: 'given_head',
    nodes: [
      ...(half ? [makeNode('Cast', ['features'], ['features/half'], { to: 10 })] : []),
      ...own.map((node) => renameNode(node, names)),
      makeNode('Cast', [found], ['logits/float'], { to: 1 }),
      makeNode('Reshape', ['logits/float', columns.name], ['logits']),
    ],
    initializers: [
      ...[...read].map((name) => ({ ...initializer.get(name)!, name: names.get(name)! })),
      columns,
    ],
    sparseInitializers: [],
    inputs: [{ name: 'features', type: { dataType: 'float', dims: ['N', ...tapFact.dims.slice(1)] } }],
    outputs: [{ name: 'logits', type: { dataType: 'float', dims: ['N', typed.classes] } }],
    valueInfo: [],
  };
}
