/** Seconds that students take, from a few steps of each on random numbers. */
import { Tensor } from '../ort/session.ts';
import { feedsOf } from '../ort/tensors.ts';
import type { Student } from '../students/student.ts';
import { inputNamed, trainingGraph } from '../students/training-graph.ts';
import { DEFAULTS } from '../students/training-plan.ts';
import { Stepper } from '../train/stepper.ts';
import { epochsOf, type GrowthOptions } from './growth.ts';
import { randomSamples, secondsSince } from './plan-timings.ts';
import type { Project } from './project.ts';

/** After as many to warm up. */
const TRIED_STEPS = 4;

/** Steps of each student, and samples a step, for so many training samples; `maxMinutes` may end it earlier. */
export function plannedSteps(samples: number, options: GrowthOptions) {
  const batch = Math.min(DEFAULTS.batch, samples);
  const steps = epochsOf(options) * Math.floor(samples / batch);
  return { steps: Math.min(steps, options.steps ?? steps), batch };
}

/** Seconds of training the students of `project` on `samples` samples, the original's answers left out. */
export async function timeGrowth(
  project: Pick<Project, 'growth' | 'opening' | 'sessionOptions'>,
  samples: number,
  options: GrowthOptions,
): Promise<number> {
  const { maxMinutes = Number.POSITIVE_INFINITY } = options;
  const { steps, batch } = plannedSteps(samples, options);
  let total = 0;
  for (const { student } of project.growth?.students.values() ?? []) {
    const each = await timeStep(student, batch, project);
    total += Math.min(steps * each, 60 * maxMinutes);
  }
  return total;
}

/** Seconds of a step of `student`. */
async function timeStep(
  student: Student,
  batch: number,
  { opening, sessionOptions }: Pick<Project, 'opening' | 'sessionOptions'>,
): Promise<number> {
  const { inputs, classes } = opening;
  const stepper = await Stepper.open(trainingGraph(student, classes!, DEFAULTS), {
    optimizer: 'sgd',
    batch,
    seed: 1,
    weightDecay: DEFAULTS.weightDecay,
    session: { ...sessionOptions, spinning: true },
  });
  try {
    const drawn = await randomSamples(inputs).read(new Int32Array(batch));
    const read = new Set(student.graph.inputs.map(({ name }) => name));
    const own = Object.entries(feedsOf(inputs, drawn, batch)).filter(([name]) => read.has(name));
    const feeds = {
      ...Object.fromEntries(own.map(([name, tensor]) => [inputNamed(name), tensor])),
      labels: new Tensor('int64', new BigInt64Array(batch), [batch]),
      teacher: new Tensor('float32', new Float32Array(batch * classes!), [batch, classes!]),
    };
    for (let i = 0; i < TRIED_STEPS; i++) await stepper.step(feeds, 0);
    const started = performance.now();
    for (let i = 0; i < TRIED_STEPS; i++) await stepper.step(feeds, 0);
    return secondsSince(started) / TRIED_STEPS;
  } finally {
    await stepper.close();
  }
}
