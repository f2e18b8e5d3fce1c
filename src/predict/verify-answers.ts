/** Whether the emitted model's answers are those by hand, sample by sample: where it leaves, how sure, and every output. */

import type { ExitOutcomes } from '../calibrate/types.ts';
import { CLOSED } from '../calibrate/types.ts';
import { emittedModelDiffers } from '../errors/index.ts';
import { shown } from '../errors/offramp-error.ts';
import { dependents } from '../graph/walk.ts';
import { largestFinite, largestGap } from '../ort/gap.ts';
import type { Feeds, Outputs, Session, Tensor } from '../ort/session.ts';
import { floatsOf, tensorOf } from '../ort/tensors.ts';
import { EXIT_CONFIDENCE, EXIT_INDEX } from '../passes/lower-exits.ts';
import { largestOf, ofSoftmax } from '../policies/rows.ts';
import type { Limits, Reference } from './verify-limits.ts';

/** One run of the emitted model. */
export interface Ran {
  readonly found: Outputs;
  readonly feeds: Feeds;
  readonly samples: readonly number[];
  readonly thresholds: readonly number[];
  /** By hand, at these thresholds. */
  readonly outcomes: ExitOutcomes;
}

/** The answer to a sample by hand, at the exit where it left. */
interface Answer {
  readonly logits: Float32Array;
  /** What they may deviate, and what the scores made of them, which move no further. */
  readonly allowed: number;
  /** For messages. */
  readonly where: string;
}

/** Compares what the emitted model answers with what is computed by hand. Throws `emitted-model-differs`. */
export class AnswerCheck {
  private readonly fromLogits: ReadonlySet<string>;
  private readonly largest: number;

  /** `reference` computes the original's outputs from the logits in its input `logitsInput`. */
  constructor(
    private readonly original: Pick<Reference, 'typed' | 'predictions'>,
    private readonly limits: Limits,
    private readonly reference: Session,
    private readonly logitsInput: string,
  ) {
    this.fromLogits = dependents(original.typed.model.graph, [original.typed.logits]);
    this.largest = largestFinite(original.predictions.original);
  }

  async check(ran: Ran): Promise<void> {
    const { found, samples } = ran;
    checkKind(EXIT_INDEX, found[EXIT_INDEX], 'int64', [samples.length]);
    checkKind(EXIT_CONFIDENCE, found[EXIT_CONFIDENCE], 'float32', [samples.length]);
    const exits = Array.from(found[EXIT_INDEX]!.data as BigInt64Array, Number);
    const answers = samples.map((sample, i) => {
      const where = `sample ${sample} in a batch of ${samples.length}`;
      checkExit(ran, sample, exits[i]!, where, this.limits.tie);
      const answer = this.answerAt(ran.outcomes, sample, exits[i]!, where);
      this.checkConfidence(ran, sample, exits[i]!, floatsOf(found[EXIT_CONFIDENCE]!)[i]!, answer);
      return answer;
    });
    const expected = await this.reference.run(this.referenceFeeds(ran.feeds, answers));
    for (const [name, tensor] of Object.entries(expected))
      this.checkOutput(name, tensor, found[name], answers);
  }

  private answerAt(outcomes: ExitOutcomes, sample: number, exit: number, where: string): Answer {
    const { classes } = this.original.typed;
    const all = outcomes.logits[exit]!;
    const logits = all.subarray(sample * classes, (sample + 1) * classes);
    const limit = all === this.original.predictions.original ? this.limits.original : this.limits.heads;
    return { logits, allowed: limit * largestFinite(logits, this.largest), where };
  }

  /** The policy's score where the sample left, and above the threshold there; the largest probability of one that goes all the way. */
  private checkConfidence(
    { outcomes, thresholds }: Ran,
    sample: number,
    exit: number,
    confidence: number,
    { logits, where }: Answer,
  ): void {
    const early = exit < thresholds.length;
    if (early && !(confidence > Math.fround(thresholds[exit]!)))
      throw emittedModelDiffers(
        `${where} left at exit ${exit} with a confidence of ${confidence}, not above the threshold ${thresholds[exit]}`,
      );
    const byHand = early
      ? outcomes.scores[exit]![sample]!
      : ofSoftmax(logits, this.original.typed.classes, largestOf)[0]!;
    const allowed = this.limits.heads * Math.max(1, largestFinite(logits, this.largest));
    if (largestGap([confidence], [byHand]) > allowed)
      throw emittedModelDiffers(
        `${where} left at exit ${exit} with a confidence of ${confidence}, by hand ${byHand}`,
      );
  }

  private referenceFeeds(feeds: Feeds, answers: readonly Answer[]): Feeds {
    const { facts, logits, classes } = this.original.typed;
    const { dataType, dims } = facts.get(logits)!;
    const values = new Float32Array(answers.length * classes);
    for (const [i, answer] of answers.entries()) values.set(answer.logits, i * classes);
    const given = tensorOf(dataType, values, [answers.length, ...dims.slice(1)]);
    const all: Feeds = { ...feeds, [this.logitsInput]: given };
    return Object.fromEntries(this.reference.inputMetadata.map(({ name }) => [name, all[name]!]));
  }

  /** What output `name` of `answers` may deviate, whose largest element is `largest`. The scores grow no faster than logits do; how others grow is not known. */
  private allowedFor(name: string, answers: readonly Answer[], largest: number): number {
    if (!this.fromLogits.has(name)) return this.limits.heads * largest;
    const allowed = Math.max(...answers.map((answer) => answer.allowed));
    return name === this.original.typed.output
      ? allowed
      : Math.max(allowed, this.limits.heads) * Math.max(1, largest);
  }

  /** Sample by sample, where the output has a row for each. */
  private checkOutput(
    name: string,
    expected: Tensor,
    found: Tensor | undefined,
    answers: readonly Answer[],
  ): void {
    checkKind(name, found, expected.type, expected.dims);
    const hasRows = this.original.typed.facts.get(name)?.batchAxis === 0;
    const [wanted, given] = [elementsOf(expected), elementsOf(found!)];
    const width = hasRows ? wanted.length / answers.length : wanted.length;
    for (const [i, some] of (hasRows ? answers.map((answer) => [answer]) : [answers]).entries()) {
      const [a, b] = [wanted, given].map((all) => all.slice(i * width, (i + 1) * width));
      const where = some.length === 1 ? some[0]!.where : `${some.length} samples`;
      if (a instanceof Float32Array && b instanceof Float32Array) {
        const largest = largestFinite(wanted as Float32Array);
        refuseGap(`${where}: ${name}`, a, b, this.allowedFor(name, some, largest));
      } else if (a!.some((value, at) => value !== b![at])) {
        if (this.fromLogits.has(name) && some.some((answer) => isTied(answer, width))) continue;
        throw emittedModelDiffers(`${where}: ${name} is ${b!.join(', ')}, by hand ${a!.join(', ')}`);
      }
    }
  }
}

/** Refuses a tensor that is missing or of another type or shape. */
function checkKind(name: string, found: Tensor | undefined, type: string, dims: readonly number[]): void {
  if (found?.type !== type || found.dims.join() !== dims.join())
    throw emittedModelDiffers(
      `output ${name} is ${found ? `${found.type} ${shown(found.dims)}` : 'missing'}, not ${type} ${shown(dims)}`,
    );
}

function refuseGap(what: string, expected: Float32Array, found: Float32Array, allowed: number): void {
  const gap = largestGap(expected, found);
  if (gap <= allowed) return;
  const largest = largestFinite(expected);
  const far = Number.isFinite(gap)
    ? `deviates by ${(gap / largest).toExponential(1)} of its largest element`
    : 'is NaN or infinite in another place than by hand';
  throw emittedModelDiffers(`${what} ${far}`);
}

export function elementsOf(tensor: Tensor): Float32Array | unknown[] {
  return tensor.type.startsWith('float') ? floatsOf(tensor) : Array.from(tensor.data as ArrayLike<unknown>);
}

/** Whether two of the `count` + 1 largest logits lie so close that what follows from their order may be either. */
function isTied({ logits, allowed }: Answer, count: number): boolean {
  const sorted = [...logits].sort((a, b) => b - a).slice(0, count + 1);
  return sorted.some((value, i) => i > 0 && !(sorted[i - 1]! - value > 2 * allowed));
}

function checkExit(
  { outcomes, thresholds }: Ran,
  sample: number,
  exit: number,
  where: string,
  tie: number,
): void {
  for (const [k, threshold] of thresholds.entries()) {
    const score = outcomes.scores[k]![sample]!;
    if (threshold >= CLOSED) continue;
    const either = Math.abs(score - threshold) < tie;
    if (exit === k && (either || score > threshold)) return;
    if (either || !(score > threshold)) continue;
    throw emittedModelDiffers(`${where} left at exit ${exit}, by hand at ${k}`);
  }
  if (exit !== thresholds.length)
    throw emittedModelDiffers(`${where} left at exit ${exit}, by hand it goes all the way`);
}
