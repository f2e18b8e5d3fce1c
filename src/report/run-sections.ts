/** The sections of a report about the run: time, the choice of the policy, training. */

import { networkName } from '../emit/chain-words.ts';
import type { Manifest } from '../emit/manifest.ts';
import type { GrownTraining } from '../networks/chain.ts';
import { networksAlone } from './alone.ts';
import { type Curve, headCurves, policyCurves, policyMeans, trainingCurves } from './charts/fits.ts';
import { latencyAgainstCost, type Timed } from './charts/points.ts';
import type { ReportFacts } from './facts.ts';
import { type Html, html } from './html.ts';
import { count, ms, percent, signedPoints } from './numbers.ts';
import { exitColour } from './palette.ts';
import { figure, HALF, type Pen, passesOf, type Section } from './section.ts';

export function latencySection({ manifest, points }: ReportFacts, { twice }: Pen): Section | undefined {
  const { baseline, latency } = manifest;
  const base = baseline.latencyMsMean ?? undefined;
  if (base === undefined || latency === null) return undefined;
  const timed: Timed[] = points.flatMap(({ name, named, relativeCost, latencyMsMean: measured }) =>
    measured ? [{ name, named, expected: relativeCost * base, measured }] : [],
  );
  if (timed.length === 0) return undefined;
  const extra = timed.map(({ expected, measured }) => measured - expected).sort((a, b) => a - b);
  const middle = extra[extra.length >> 1]!;
  return {
    id: 'time',
    title: 'Whether saved MACs are saved time',
    clock: true,
    content: figure(
      'On the dashed line, time follows MACs',
      `Across: the original’s ${ms(base)} times the point’s cost. Up: the mean over samples of the least time that each took in ${passesOf(latency)} runs. Above the line, bookkeeping and small operators cost more than their MACs.`,
      twice(
        (size) => latencyAgainstCost(timed, size),
        `Measured against foretold latency: ${timed
          .filter((t) => t.named)
          .map((t) => `${t.name} ${ms(t.measured)} for ${ms(t.expected)}`)
          .join(', ')}.`,
      ),
      html`Half of the points take at least ${ms(Math.abs(middle))} ${middle < 0 ? 'less' : 'more'} than their MACs foretell. Batch of ${latency.batch}, ${latency.threads} threads, ${count(latency.runs)} runs of each (every sample ${passesOf(latency)} times) after ${latency.warmup} to warm up, provider ${latency.provider}; on another machine both axes change.`,
    ),
  };
}

export function policiesSection({ manifest }: ReportFacts, { twice }: Pen): Section | undefined {
  const { policyComparison: comparison, calibration } = manifest;
  if (!comparison) return undefined;
  const [from, to] = comparison.costs;
  const { policies } = comparison;
  const [best, second] = policies;
  const size = { width: 900, height: 90 + 30 * policies.length };
  return {
    id: 'policy',
    title: 'Why this policy',
    content: html`${figure(
      'The higher, the more is kept at a cost',
      'What each policy keeps on calibration samples that it had not seen: thresholds were searched on one half and measured on the other, both ways round.',
      twice(
        () => policyCurves(comparison, calibration.target),
        `Curves of ${calibration.target} against cost: ${policies.map(({ policy, curve }) => `${policy} ${percent(curve[0]!)} to ${percent(curve.at(-1)!)}`).join(', ')}.`,
      ),
    )}
${figure(
  'Further right keeps more',
  `Each policy’s mean ${calibration.target} over these costs, ${percent(from)} to ${percent(to)}.`,
  twice(
    () => policyMeans(comparison, calibration.target),
    `Policies compared: ${policies.map(({ policy, mean }) => `${policy} ${percent(mean, 2)}`).join(', ')}.`,
    size,
  ),
  best && second
    ? `${best.policy} was taken; ${second.policy} comes next, ${signedPoints(best.mean - second.mean).slice(1)} points behind.`
    : undefined,
)}`,
  };
}

export function trainingSection({ manifest }: ReportFacts, pen: Pen): Section | undefined {
  const figures = [studentFigures(manifest, pen), headFigure(manifest, pen)].filter((f) => f !== undefined);
  if (figures.length === 0) return undefined;
  return { id: 'training', title: 'How training went', content: html`${figures}` };
}

function headFigure({ training, exits }: Manifest, { twice }: Pen): Html | undefined {
  if (!training) return undefined;
  const curves = headCurves(
    training,
    exits.map(({ id }) => id),
  );
  // Heads that are left out have no curve.
  if (curves.length === 0) return undefined;
  return figure(
    'Heads: down is better',
    'Running mean of each exit’s loss (labels, and the original’s softened answers) over the steps; the original’s weights never move.',
    twice((size) => trainingCurves(curves, 'loss', size), `Training loss: ${endsOf(curves)}.`),
    'The learning rate falls to nothing, so lines flatten at the end whether or not there was more to learn: compare the accuracies of the exits with the original’s above, and ask for more epochs or samples where they are far below. Exits nearer to the input end higher, for they know less.',
  );
}

/** How each student of the chain was trained. */
function studentFigures(manifest: Manifest, { chart }: Pen): Html | undefined {
  const { networks = [], exits } = manifest;
  const students = networks.flatMap(({ grown }, n) => {
    if (!grown?.training) return [];
    const end = exits.findLastIndex(({ network }) => network === n);
    const curve = { name: networkName(manifest, n), tint: exitColour(end, exits.length) };
    return [{ ...curve, ...grown.training }];
  });
  if (students.length === 0) return undefined;
  const losses = students.map(({ name, tint, steps, losses }): Curve => {
    return { name, tint, points: losses.map((loss, i) => [steps[i]!, loss]) };
  });
  const accuracies = students.flatMap(({ name, tint, accuracies }): Curve[] => {
    const points = accuracies.map(({ step, accuracy }) => [step, 100 * accuracy] as const);
    return points.length > 0 ? [{ name, tint, points }] : [];
  });
  return html`<div class="pair">
${figure(
  'Students: down is better',
  'Running mean of each student’s loss (the original’s softened answers, and labels or else its answers) over the steps.',
  chart(trainingCurves(losses, 'loss', HALF), `Training loss: ${endsOf(losses)}.`, HALF),
  students.map(describeTraining).join(' '),
)}
${
  accuracies.length > 0 &&
  figure(
    'Students: up is better',
    'Share of some validation samples that each got right on the way; nothing is learned from those.',
    chart(trainingCurves(accuracies, 'accuracy', HALF), `Accuracy in percent: ${endsOf(accuracies)}.`, HALF),
    networksAlone(manifest).length > 0
      ? `What each knows by itself on the ${manifest.measuredOn} samples is in the table of networks alone, above.`
      : undefined,
  )
}
</div>`;
}

/** What each begins and ends at. */
const endsOf = (curves: readonly Curve[]): string =>
  curves
    .map(({ name, points }) => `${name} ${shortly(points[0]![1])} to ${shortly(points.at(-1)![1])}`)
    .join(', ');

const shortly = (value: number) => Number(value.toPrecision(4));

type Trained = GrownTraining & { readonly name: string };

function describeTraining({ name, steps, batch, stoppedAt, halvedAt }: Trained): string {
  return [
    `${name}: ${count(steps.at(-1)!)} steps of ${count(batch)} samples.`,
    stoppedAt !== undefined &&
      'A limit ended them early, before the learning rate had fallen: it may learn more without.',
    halvedAt !== undefined &&
      `Its loss was no number once: it went back to step ${count(halvedAt)}, and on from there at half the learning rate.`,
  ]
    .filter(Boolean)
    .join(' ');
}
