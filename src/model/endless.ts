/** Models that may never answer: those with a Loop, which ends when its own body says so. */
import { modelEndless } from '../errors/index.ts';
import type { Graph, Model, Node } from '../graph/types.ts';
import { isDefaultDomain } from '../graph/types.ts';
import { subgraphs } from '../graph/walk.ts';
import { endsWithin } from '../ort/trial-process.ts';
import { readFunctions } from '../parser/functions.ts';
import { serializeModel } from '../parser/index.ts';
import { exposeValues } from '../passes/expose-values.ts';
import { dropClaims } from '../passes/keep-observed.ts';
import { runPasses } from '../passes/pass.ts';
import type { ObserveOptions } from './observe-facts.ts';
import { randomFeeds } from './random-inputs.ts';

/** More than any honest model takes for three samples. */
const LIMIT_SECONDS = 60;
const SAMPLES = 3;

/**
 * Throws `model-endless` where `model` has a Loop and does not answer random samples within a minute, in a process that can be killed. A model
 * without one is not run.
 */
export async function refuseEndless(
  model: Model,
  options: ObserveOptions,
  seconds: number = LIMIT_SECONDS,
): Promise<void> {
  const loop = findLoop(model);
  if (!loop) return;
  const exposed = { ...model, graph: runPasses(model.graph, [dropClaims, exposeValues]) };
  const feeds = randomFeeds(exposed, options.dims ?? {}, SAMPLES);
  const session = { ...options.session, optimization: 'disabled' } as const;
  if (!(await endsWithin(serializeModel(exposed), feeds, session, seconds * 1000)))
    throw modelEndless(`"${loop.name || loop.outputs[0]}"`, seconds);
}

function findLoop(model: Model): Node | undefined {
  const within = ({ nodes }: Pick<Graph, 'nodes'>): Node | undefined => {
    for (const node of nodes) {
      if (node.opType === 'Loop' && isDefaultDomain(node.domain)) return node;
      for (const graph of subgraphs(node)) {
        const found = within(graph);
        if (found) return found;
      }
    }
    return undefined;
  };
  for (const graph of [model.graph, ...readFunctions(model)]) {
    const found = within(graph);
    if (found) return found;
  }
  return undefined;
}
