/** What a network itself answers, as an exit at its end. */
import { GraphBuilder } from '../graph/builder.ts';
import { elementBytes } from '../graph/tensor.ts';
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
  const flat = b.op('Reshape', [features, b.int64([-1, typed.classes])], {}, order ? 'own' : 'logits');
  if (order) b.op('Gather', [flat, b.int64(order)], { axis: 1 }, 'logits');
  b.output('logits', 'float', ['N', typed.classes]);
  return {
    exit: { id, network, tap, prefixMacs: totalMacs },
    kind: 'end',
    graph: b.build('network_end'),
    macs: 0,
  };
}
