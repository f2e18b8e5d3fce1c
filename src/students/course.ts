/** The loop: a student goes through its steps, from the first one or from where it was interrupted. */
import { studentDiverged } from '../errors/index.ts';
import { Tensor } from '../ort/session.ts';
import { Batches } from '../train/batches.ts';
import { type LossCurve, lossCurve } from '../train/loss-curve.ts';
import { LOSS } from '../train/losses.ts';
import { oneCycle } from '../train/recipes.ts';
import { Stepper, type StepperState } from '../train/stepper.ts';
import { accuracyOn } from './accuracy.ts';
import type { AccuracyAt, Checkpoint, Point } from './checkpoint.ts';
import { WARM_UP } from './exit-losses.ts';
import { openPictures, type PictureSource } from './picture-source.ts';
import type { Student } from './student.ts';
import { inputNamed, trainedStudent } from './training-graph.ts';
import type { StudentData, StudentTraining, TrainingPlan } from './training-plan.ts';

/** How much of the running mean of the loss a step leaves in place. */
const MOMENTUM = 0.95;
/** Steps between two states from which training is taken up when it diverges: by steps, not by the clock, since numbers depend on it. */
const GOOD_EVERY = 100;
/** A mean loss of so many times the first one comes down again only to a student that says the same of every sample. */
const LOST = 10;
const SAVE_EVERY = 30;

/** A student on its way through `plan`. */
export interface Journey {
  readonly student: Student;
  readonly plan: TrainingPlan;
  readonly data: StudentData;
  readonly options: StudentTraining;
}

/**
 * Takes the student from `begun`, or from its first step, to the end of the plan, or as far as `maxMinutes` allow, and returns the state there.
 * `save` gets the state now and then, by the clock, and before an abort.
 */
export async function travel(
  journey: Journey,
  begun?: Checkpoint,
  save: (checkpoint: Checkpoint) => Promise<void> = async () => {},
): Promise<Checkpoint> {
  const { plan, options } = journey;
  const { signal, maxMinutes = Number.POSITIVE_INFINITY, saveEvery = SAVE_EVERY } = options;
  const course = await Course.open(journey, begun);
  try {
    let saved = course.seconds;
    while (course.steps < plan.stop && course.seconds < 60 * maxMinutes) {
      if (signal?.aborted || course.seconds - saved > saveEvery) {
        await save(course.checkpoint());
        saved = course.seconds;
      }
      signal?.throwIfAborted();
      await course.step();
    }
    return await course.end();
  } finally {
    await course.close();
  }
}

class Course {
  private batches: Batches;
  private mean: number;
  private first: number;
  private good: Point;
  private halvedAt: number | undefined;
  private line: ReturnType<typeof lossCurve>;
  private accuracies: readonly AccuracyAt[];
  /** Where this run took training up, and the reading of the clock at which training would have begun without interruptions. */
  private readonly begin: { readonly steps: number; readonly seconds: number; readonly clock: number };

  private constructor(
    private readonly journey: Journey,
    private readonly pictures: PictureSource,
    private readonly stepper: Stepper,
    begun: Checkpoint | undefined,
  ) {
    const state = begun?.now.state ?? stepper.state;
    stepper.state = state;
    this.batches = this.batchesFrom(state.steps);
    this.mean = begun?.now.mean ?? 0;
    this.first = begun?.first ?? 0;
    this.good = begun?.good ?? { state, mean: 0 };
    this.halvedAt = begun?.halvedAt;
    this.line = lossCurve(begun?.curve);
    this.accuracies = begun?.accuracies ?? [];
    const seconds = begun?.seconds ?? 0;
    this.begin = { steps: state.steps, seconds, clock: performance.now() - 1000 * seconds };
  }

  static async open(journey: Journey, begun: Checkpoint | undefined): Promise<Course> {
    const { plan, data, options } = journey;
    const { session = {} } = options;
    const pictures = await openPictures({
      teacher: data.teacher,
      mode: plan.teacher,
      dataset: data.dataset,
      views: plan.views,
      cacheFolder: options.cache,
      cacheLimitBytes: options.cacheLimit,
      session,
      signal: options.signal,
      onNote: options.onNote,
      onProgress: options.onAnswers,
    });
    const stepper = await Stepper.open(plan.graph, {
      optimizer: 'sgd',
      batch: plan.batch,
      seed: plan.seed,
      weightDecay: plan.weightDecay,
      // The only session alive on these threads, but for an original that is asked anew.
      session: { ...session, spinning: pictures.storage === 'cached' },
    }).catch(async (error: unknown) => {
      await pictures.close();
      throw error;
    });
    return new Course(journey, pictures, stepper, begun);
  }

  /** Steps done. */
  get steps(): number {
    return this.stepper.state.steps;
  }

  /** Of work so far. */
  get seconds(): number {
    return (performance.now() - this.begin.clock) / 1000;
  }

  checkpoint(): Checkpoint {
    const { stepper, mean, good, halvedAt, first, line, accuracies, seconds } = this;
    return {
      now: { state: stepper.state, mean },
      good,
      halvedAt,
      first,
      curve: line.curve,
      accuracies,
      seconds,
    };
  }

  async step(): Promise<void> {
    const { plan } = this.journey;
    const { features, logits, labels } = await this.batches.next(plan.targets);
    const feeds: Record<string, Tensor> = { teacher: logits, labels };
    for (const [name, tensor] of Object.entries(features))
      if (plan.reads.has(name)) feeds[inputNamed(name)] = tensor;
    if (plan.warmUp > 0) feeds[WARM_UP] = new Tensor('float32', [this.steps < plan.warmUp ? 1 : 0], []);
    const rate = this.peak * oneCycle(this.steps, plan.total);
    const outputs = await this.stepper.step(feeds, rate);
    const loss = (outputs[LOSS]!.data as Float32Array)[0]!;
    const { steps } = this;
    if (!Number.isFinite(loss)) return this.turnBack();
    if (steps === 1) this.first = loss;
    this.mean = steps === 1 ? loss : MOMENTUM * this.mean + (1 - MOMENTUM) * loss;
    if (this.mean > LOST * this.first) return this.turnBack();
    if (steps % GOOD_EVERY === 0 && this.mean <= this.first) {
      const { state } = this.stepper;
      if (isWhole(state)) this.good = { state, mean: this.mean };
    }
    const { times } = plan.checks;
    const part = (done: number) => Math.floor((done * times) / plan.total);
    if (part(steps) > part(steps - 1)) this.accuracies = [...this.accuracies, await this.measured()];
    this.report();
  }

  /** The state at the end: one whose numbers are all finite, and whose accuracy was measured. */
  async end(): Promise<Checkpoint> {
    const { plan } = this.journey;
    const { steps } = this;
    if (!isWhole(this.stepper.state)) {
      // The last step's effect, which no loss has shown.
      this.turnBack();
      while (this.steps < steps) await this.step();
      return await this.end();
    }
    const isDue = plan.checks.times > 0 && this.accuracies.at(-1)?.step !== steps;
    return { ...this.checkpoint(), last: isDue ? await this.measured() : undefined };
  }

  async close(): Promise<void> {
    await this.stepper.close();
    await this.pictures.close();
  }

  private get peak(): number {
    const { learningRate } = this.journey.plan;
    return this.halvedAt === undefined ? learningRate : learningRate / 2;
  }

  private batchesFrom(steps: number): Batches {
    const { batch, seed } = this.journey.plan;
    const batches = new Batches(this.pictures, batch, seed);
    batches.skip(steps);
    return batches;
  }

  /** To the last good state, for another try at half the rate. */
  private turnBack(): void {
    if (this.halvedAt !== undefined) throw studentDiverged(this.steps, this.peak);
    const { state, mean } = this.good;
    this.halvedAt = state.steps;
    this.stepper.state = state;
    this.mean = mean;
    this.batches = this.batchesFrom(state.steps);
    this.line = lossCurve(upTo(this.line.curve, state.steps));
    this.accuracies = this.accuracies.filter(({ step }) => step <= state.steps);
  }

  private async measured(): Promise<AccuracyAt> {
    const { student, plan, data, options } = this.journey;
    const { graph } = trainedStudent(student, plan.graph, this.stepper.state);
    const { samples } = plan.checks;
    const accuracy = await accuracyOn(data.validation!, samples, graph, options.session ?? {});
    return { step: this.steps, accuracy };
  }

  private report(): void {
    const { plan, options } = this.journey;
    const { steps, mean, begin } = this;
    const progress = {
      phase: 'train',
      done: steps,
      total: plan.stop,
      loss: mean,
      losses: { student: mean },
      rate: ((steps - begin.steps) * plan.batch) / (this.seconds - this.begin.seconds),
      accuracy: this.accuracies.at(-1)?.accuracy,
    } as const;
    this.line.follow({ ...progress, total: plan.total });
    options.onProgress?.(progress);
  }
}

/** No number is NaN or infinite. */
const isWhole = ({ values }: StepperState) => Object.values(values).every((v) => v.every(Number.isFinite));

function upTo({ steps, losses }: LossCurve, last: number): LossCurve {
  const count = steps.filter((step) => step <= last).length;
  const cut = Object.entries(losses).map(([id, values]) => [id, values.slice(0, count)]);
  return { steps: steps.slice(0, count), losses: Object.fromEntries(cut) };
}
