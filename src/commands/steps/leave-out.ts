/** Between steps 2 and 3: networks and exits of a chain that no named point uses do not get into the file. */
import type { Goals } from '../../calibrate/goals.ts';
import { CLOSED, isNamed, type NamedPoint } from '../../calibrate/index.ts';
import type { Training } from '../../emit/manifest.ts';
import { info } from '../../errors/notes.ts';
import { chainOf, costsOfChain, type Network } from '../../networks/chain.ts';
import type { Head } from '../../passes/exits.ts';
import type { Predictions } from '../../predict/predict.ts';
import { headsFileOf, isTrained } from '../kept-heads.ts';
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
  if (keepAll || used.length === 0 || used.length === exits.heads.length) return found;
  const kept = keepOnly(context, exits, used);
  const gone = context.chain.networks.filter(
    ({ id }) => !kept.context.chain.networks.some((n) => n.id === id),
  );
  const again = await chooseUsed(kept.context, kept.exits, goals, keepAll);
  for (const note of notesOn(context, gone, used)) context.events.onNote?.(note);
  return { ...again, leftOut: [...gone, ...again.leftOut] };
}

/** What is said of networks that are `gone`, and of exits of the others that are not `used`. */
function* notesOn({ chain }: CompileContext, gone: readonly Network[], used: readonly number[]) {
  for (const { file } of gone)
    yield info(
      'network-left-out',
      `${file} is never worth its cost here: it is left out (\`keepAll\` keeps it).`,
    );
  for (const [k, { exit, kind }] of chain.heads.entries()) {
    const network = chain.networks[exit.network]!;
    if (used.includes(k) || gone.includes(network)) continue;
    const what = kind === 'end' ? 'The end' : `The exit at ${exit.tap.value}`;
    yield info(
      'exit-left-out',
      `${what} of ${network.file} is open at no point that has a name: it is left out (\`keepAll\` keeps it).`,
    );
  }
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
      training: exits.training && trainingOf(exits.training, exits.heads, kept, heads, networks.length - 1),
      headsFile: headsFileOf(heads),
      predict: async (dataset, phase) => pick(await exits.predict(dataset, phase)),
      predictAlone: async (dataset) => pick(await exits.predictAlone(dataset)),
    },
  };
}

/**
 * `training` of the heads on network `original`, once of the exits `before` only those at places `kept` are there, as `now`: losses go by the names
 * that exits have now, and all that were trained are named where some of them are gone.
 */
export function trainingOf(
  training: Training,
  before: readonly Head[],
  kept: readonly number[],
  now: readonly Head[],
  original: number,
): Training {
  const nameOf = new Map(kept.map((k, place) => [before[k]!.exit.id, now[place]!.exit.id]));
  const trained = before.filter(({ exit, kind }) => exit.network === original && isTrained(kind));
  const isLeft = trained.some(({ exit }) => nameOf.has(exit.id));
  const losses = Object.entries(training.losses).flatMap(([id, values]) => {
    const name = id === 'joint' && isLeft ? id : nameOf.get(id);
    return name === undefined ? [] : [[name, values] as const];
  });
  const isWhole = trained.every(({ exit }) => nameOf.has(exit.id));
  const all = trained.map(({ exit, kind }) => ({ tap: exit.tap.value, head: kind }));
  return {
    ...training,
    ...(!isWhole && { exits: training.exits ?? all }),
    losses: Object.fromEntries(losses),
  };
}
