/** All heads as one graph that can be kept, and back. */
import { GraphBuilder } from '../graph/builder.ts';
import { inlineGraph } from '../graph/inline.ts';
import { renameNode } from '../graph/rename.ts';
import type { Graph } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';
import type { Head, HeadKind, PlannedExit } from './exits.ts';
import { headMacs } from './heads.ts';

/**
 * Inputs are the tapped values by name (`tap/…` where that begins as a head's own do), float [N, ...tap dims]; outputs `<exit>/logits` [N, classes] and `<exit>/confidence` [N];
 * everything of a head is called `<exit>/…`. `unbundleHeads` gives the same heads back, to the byte.
 */
export function bundleHeads(heads: readonly Head[]): Graph {
  const b = new GraphBuilder();
  for (const { exit, graph } of heads) {
    const features = b.input(inputOf(exit, heads), 'float', graph.inputs[0]!.type!.dims!);
    const names = inlineGraph(b, graph, { features }, `${exit.id}/`);
    for (const { name, type } of graph.outputs) b.output(names[name]!, 'float', type!.dims!);
  }
  return b.build('heads');
}

/** A tapped value's name in the bundle: the model's, unless it could be a name of a head. */
const inputOf = ({ tap }: PlannedExit, all: readonly { readonly exit: PlannedExit }[]): string =>
  all.some(({ exit }) => tap.value.startsWith(`${exit.id}/`)) ? `tap/${tap.value}` : tap.value;

/** The heads of `exits` out of what `bundleHeads` made; undefined when it is not of these exits. */
export function unbundleHeads(
  bundle: Graph,
  exits: readonly { readonly exit: PlannedExit; readonly kind: HeadKind }[],
): Head[] | undefined {
  const taps = bundle.inputs.map(({ name }) => name).join();
  if (taps !== exits.map(({ exit }) => inputOf(exit, exits)).join()) return undefined;
  return exits.map(({ exit, kind }) => {
    const prefix = `${exit.id}/`;
    const isOwn = ({ name }: { readonly name: string }) => name.startsWith(prefix);
    const own = [...allNames(bundle)].filter((name) => name.startsWith(prefix));
    const names = new Map(own.map((name) => [name, name.slice(prefix.length)]));
    const features = inputOf(exit, exits);
    names.set(features, 'features');
    const renamed = <T extends { readonly name: string }>(value: T): T => ({
      ...value,
      name: names.get(value.name)!,
    });
    const graph: Graph = {
      name: `head_${kind}`,
      nodes: bundle.nodes.filter(isOwn).map((node) => ({
        ...renameNode(node, names),
        name: node.name.slice(prefix.length),
      })),
      initializers: bundle.initializers.filter(isOwn).map(renamed),
      sparseInitializers: [],
      inputs: bundle.inputs.filter(({ name }) => name === features).map(renamed),
      outputs: bundle.outputs.filter(isOwn).map(renamed),
      valueInfo: [],
    };
    return { exit, kind, graph, macs: headMacs(graph) };
  });
}
