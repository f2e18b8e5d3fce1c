/** Between steps 2 and 3: networks and exits of a chain that no named point uses do not get into the file. */
import type { Goals } from '../../calibrate/goals.ts';
import { CLOSED, isNamed, type NamedPoint } from '../../calibrate/index.ts';
import { info, warning } from '../../errors/notes.ts';
import { chainOf, costsOfChain, type Network } from '../../networks/chain.ts';
import type { Predictions } from '../../predict/predict.ts';
import { headsFileOf } from '../kept-heads.ts';
import type { CompileContext } from '../project.ts';
import type { ReadyExits } from '../ready-exits.ts';
import { type ChosenPoints, choosePoints } from './choose-points.ts';
import { type ChosenPolicy, choosePolicy } from './choose-policy.ts';

/** Steps 1 and 2, with what they were done for. */
export interface Chosen {
  readonly context: CompileContext;
  readonly exits: ReadyExits;
  readonly chosen: ChosenPolicy;
  readonly points: ChosenPoints;
  /** Networks that are not in the file. */
  readonly leftOut: readonly Network[];
}

/**
 * Steps 1 and 2. Of a chain they are done again without the exits that no named point has open, until every one is used; `keepAll` keeps them.
 * A network goes when its last exit does, but for the original.
 */
export async function chooseUsed(
  context: CompileContext,
  exits: ReadyExits,
  goals: Goals,
  keepAll: boolean,
): Promise<Chosen> {
  const chosen = await choosePolicy(context, exits, goals);
  const points = await choosePoints(context, exits, goals, chosen);
  const found = { context, exits, chosen, points, leftOut: [] };
  if (context.chain.networks.length === 1) return found;
  const used = usedExits(points.points, exits.heads.length);
  if (used.length === 0) {
    context.events.onNote?.(
      warning(
        'chain-never-pays',
        'Do not use this: no named point is cheaper than the original and loses as little as its name says. The networks in front are not worth what they cost on these data.',
      ),
    );
    return found;
  }
  if (keepAll || used.length === exits.heads.length) return found;
  const kept = keepOnly(context, exits, used);
  const gone = context.chain.networks.filter(
    ({ id }) => !kept.context.chain.networks.some((n) => n.id === id),
  );
  const again = await chooseUsed(kept.context, kept.exits, goals, keepAll);
  for (const { file } of gone)
    context.events.onNote?.(
      info(
        'network-left-out',
        `${file} is never worth its cost here: it is left out (\`keepAll\` keeps it).`,
      ),
    );
  return { ...again, leftOut: [...gone, ...again.leftOut] };
}

/** The exits that are open at some point that has a name. */
const usedExits = (points: readonly NamedPoint[], exits: number): number[] =>
  Array.from({ length: exits }, (_, k) => k).filter((k) =>
    points.some(({ name, thresholds }) => isNamed(name) && thresholds[k]! < CLOSED),
  );

/** The chain with exits `kept` alone, numbered anew. */
function keepOnly(
  context: CompileContext,
  exits: ReadyExits,
  kept: readonly number[],
): Pick<Chosen, 'context' | 'exits'> {
  const { networks } = context.chain;
  const own = kept.map((k) => exits.heads[k]!);
  const chain = chainOf(
    networks
      .map((network, n) => ({ ...network, heads: own.filter(({ exit }) => exit.network === n) }))
      .filter(({ heads }, n) => heads.length > 0 || n === networks.length - 1),
  );
  const { heads } = chain;
  const pick = (all: Predictions): Predictions => ({
    ...all,
    logits: kept.map((k) => all.logits[k]!),
    confidence: kept.map((k) => all.confidence[k]!),
  });
  return {
    context: { ...context, chain, heads, costs: costsOfChain(chain) },
    exits: {
      ...exits,
      heads,
      headsFile: headsFileOf(heads),
      predict: async (dataset, phase) => pick(await exits.predict(dataset, phase)),
      predictAlone: async (dataset) => pick(await exits.predictAlone(dataset)),
    },
  };
}
