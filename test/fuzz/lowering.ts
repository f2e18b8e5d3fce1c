/** A random classifier with random exits under a random policy: what must hold of every one of them. */
import * as fc from 'fast-check';
import { checkGraph } from '../../src/graph/check.ts';
import { Random } from '../../src/graph/random.ts';
import { elementCount } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { feedsOf } from '../../src/ort/tensors.ts';
import { HEAD_KINDS, type HeadKind } from '../../src/passes/exits.ts';
import { POLICY_NAMES, type PolicyName, policyOf } from '../../src/policies/index.ts';
import { noise } from '../models.ts';
import { buildBackbone, recipes } from './backbone.ts';
import {
  checkDecisions,
  checkExactPath,
  checkParts,
  lowered,
  POOL,
  type Subject,
  type Trial,
} from './by-hand.ts';
import { INPUT, type Recipe, SCORES } from './net.ts';
import { exitsAt, ONE_THREAD, PARAMETERS } from './random-heads.ts';

export interface Case extends Trial {
  readonly recipe: Recipe;
  /** Which taps, of those there are, wrapping round. */
  readonly taps: readonly number[];
  /** One for each of at most four exits, as `open` and `shares`. */
  readonly kinds: readonly HeadKind[];
}

const hasState = (policy: PolicyName) => policyOf(policy).state(2, 2) > 0;
const four = <T>(of: fc.Arbitrary<T>) => fc.array(of, { minLength: 4, maxLength: 4 });

export const policies = fc.constantFrom(...POLICY_NAMES, ...POLICY_NAMES.filter(hasState));

export const cases: fc.Arbitrary<Case> = fc.record({
  recipe: recipes,
  taps: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 8 }),
  kinds: four(fc.constantFrom(...HEAD_KINDS)),
  open: four(fc.constantFrom(true, true, true, false)),
  shares: four(fc.integer({ min: 0, max: 9 })),
  policy: policies,
  final: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined, freq: 2 }),
  batch: fc.integer({ min: 1, max: 9 }),
  sick: fc.option(fc.nat({ max: 8 }), { nil: undefined, freq: 2 }),
  baked: fc.boolean(),
  seed: fc.nat({ max: 1e6 }),
});

/** What happened, so that one can tell whether the cases were worth anything. */
export interface Seen {
  /** No exit can be placed. */
  skipped: boolean;
  /** Exits, and how many different ones (the end included) a batch left at. */
  exits: number;
  ways: number;
}

/** Builds the case and checks it; throws what uvu's assertions throw. */
export async function checkCase(c: Case): Promise<Seen> {
  const subject = await prepare(c);
  if (!subject) return { skipped: true, exits: 0, ways: 0 };
  const model = lowered(c, subject);
  checkGraph(model.graph);
  await checkExactPath(c, subject, model);
  const ways = await checkDecisions(c, subject, model);
  await checkParts(c, subject);
  return { skipped: false, exits: subject.networks[0]!.heads.length, ways };
}

/** The case's classifier, and the same with its exits inside, closed ones among them where thresholds are built in. */
export async function loweredCase(c: Case): Promise<{ original: Model; lowered: Model } | undefined> {
  const subject = await prepare(c);
  if (!subject) return undefined;
  const { typed, heads } = subject.networks[0]!;
  const baked = c.baked ? heads.map((_, k) => (c.open[k] ? 0.5 : 1)) : undefined;
  return { original: typed.model, lowered: lowered(c, subject, baked) };
}

async function prepare(c: Case): Promise<Subject | undefined> {
  const typed = await observeFacts(buildBackbone(c.recipe), { output: SCORES, session: ONE_THREAD });
  const inputs = [{ name: INPUT, dataType: 'float', dims: c.recipe.input }] as const;
  const samples = Array.from({ length: POOL }, (_, i) =>
    noise(elementCount(c.recipe.input), c.seed + i).map((v) => v * (0.4 + i / 8)),
  );
  const feed = (rows: readonly Float32Array[]) =>
    feedsOf(inputs, Float32Array.from(rows.flatMap((row) => [...row])), rows.length);
  const said = await exitsAt(
    typed,
    c,
    samples.map((sample) => feed([sample])),
  );
  const { heads, logits, confidence, original } = said;
  if (heads.length === 0) return undefined;
  const parameters = PARAMETERS[c.policy](heads.length, typed.classes, new Random(c.seed, 'parameters'));
  const hand = { logits, confidence, original };
  return { networks: [{ typed, heads }], parameters, samples, feed, hand, isHalf: false };
}
