/** What a network itself answers, as an exit at its end. */
import { GraphBuilder } from '../graph/builder.ts';
import { renameNode } from '../graph/rename.ts';
import { elementBytes } from '../graph/tensor.ts';
import { allNames } from '../graph/walk.ts';
import type { ExitPlan, Head, PlannedExit } from './exits.ts';

/**
 * The exit at the end of the network that `plan` is of: its tap is the network's logits, and its head gives them as they are, [N, classes] float.
 * It costs nothing beside the network. `order`: which column of the logits each class is in, where that is another.
 */
export function endExit(
  { typed, totalMacs }: ExitPlan,
  { id, network }: Pick<PlannedExit, 'id' | 'network'>,
  order?: readonly number[],
): Head {
  const { dims, dataType } = typed.facts.get(typed.logits)!;
  const bytes = typed.classes * (elementBytes(dataType) ?? 4);
  const tap = {
    value: typed.logits,
    dims: dims.slice(1),
    channelAxis: 0,
    prefixMacs: totalMacs,
    relativeCost: 1,
    live: [typed.logits],
    liveBytes: bytes,
    tapBytes: bytes,
  };
  const b = new GraphBuilder();
  const features = b.input('features', 'float', ['N', ...tap.dims]);
  // An Identity costs nothing: ONNX Runtime takes it out.
  if (tap.dims.length === 1) b.op('Identity', [features], {}, 'logits');
  else b.op('Reshape', [features, b.int64([-1, typed.classes])], {}, 'logits');
  b.output('logits', 'float', ['N', typed.classes]);
  const exit = { id, network, tap, prefixMacs: totalMacs };
  const head: Head = { exit, kind: 'end', graph: b.build('network_end'), macs: 0 };
  return order ? inOrder(head, order) : head;
}

/** `head` with its classes in another order: class c is column `order[c]` of its own logits. */
export function inOrder(head: Head, order: readonly number[]): Head {
  const { graph } = head;
  const names = allNames(graph);
  const b = new GraphBuilder('', names);
  const own = b.fresh('logits/own');
  const renamed = graph.nodes.map((node) => renameNode(node, new Map([['logits', own]])));
  b.op('Gather', [own, b.int64(order)], { axis: 1 }, 'logits');
  // The node that made the logits may be named after them.
  const gather = b.nodes.map((node) => ({ ...node, name: b.fresh('classes') }));
  return {
    ...head,
    graph: {
      ...graph,
      nodes: [...renamed, ...gather],
      initializers: [...graph.initializers, ...b.initializers],
    },
  };
}
