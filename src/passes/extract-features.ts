/** The backbone cut down to what training reads: features at the taps, and the logits. */
import { GraphBuilder } from '../graph/builder.ts';
import { inlineGraph } from '../graph/inline.ts';
import { prune } from '../graph/prune.ts';
import type { DataType, Graph } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

export interface FeatureRequest {
  /** Name of the output; `value` itself when nothing is done to it. */
  readonly output: string;
  readonly value: string;
  /** Element type of `value` in the model. */
  readonly dataType: DataType;
  readonly as: 'float' | 'float16';
  /** Parameter-free nodes between the value and the output: input `features`, one output. */
  readonly stem?: Graph | undefined;
}

const LARGEST_HALF = 65504;
const ELEMENT_TYPE = { float: 1, float16: 10 };

/** Outputs become exactly `requests`, cast as asked (float16 saturates); what none of them needs is left out. */
export function extractFeatures(requests: readonly FeatureRequest[]): Pass {
  return {
    name: 'extract-features',
    run(graph: Graph): Graph {
      const b = new GraphBuilder('offramp/', allNames(graph));
      for (const request of requests) {
        const { output, stem, as } = request;
        let value = request.value;
        if (stem) {
          const single =
            request.dataType === 'float' ? value : b.op('Cast', [value], { to: ELEMENT_TYPE.float });
          value = Object.values(inlineGraph(b, stem, { features: single }, `${output}/`))[0]!;
        }
        const dataType = stem ? 'float' : request.dataType;
        if (dataType === 'float' && as === 'float16')
          value = b.op('Clip', [value, b.float(-LARGEST_HALF), b.float(LARGEST_HALF)]);
        // No Identity where the value itself will do: ONNX Runtime 1.30 drops it and loses the value for a Pad that reads it too.
        if (output === request.value) continue;
        if (dataType === as) b.op('Identity', [value], {}, output);
        else b.op('Cast', [value], { to: ELEMENT_TYPE[as] }, output);
      }
      return prune({
        ...graph,
        nodes: [...graph.nodes, ...b.nodes],
        initializers: [...graph.initializers, ...b.initializers],
        outputs: requests.map((r) => ({ name: r.output, type: undefined })),
        valueInfo: [],
      });
    },
  };
}
