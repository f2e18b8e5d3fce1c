/** The sections of a report about the run: time, the choice of the policy, training. */

import { lossesInOrder, policyCurves, policyMeans, trainingCurves } from './charts/fits.ts';
import { latencyAgainstCost, type Timed } from './charts/points.ts';
import type { ReportFacts } from './facts.ts';
import { type Html, html } from './html.ts';
import { count, percent, signedPoints } from './numbers.ts';
import { figure, ms, type Pen, passesOf } from './section.ts';

export function latencySection({ manifest, points }: ReportFacts, { twice }: Pen): Html | undefined {
  const { baseline, latency } = manifest;
  const base = baseline.latencyMsMean ?? undefined;
  if (base === undefined || latency === null) return undefined;
  const timed: Timed[] = points.flatMap(({ name, named, relativeCost, latencyMsMean: measured }) =>
    measured ? [{ name, named, expected: relativeCost * base, measured }] : [],
  );
  if (timed.length === 0) return undefined;
  const extra = timed.map(({ expected, measured }) => measured - expected).sort((a, b) => a - b);
  const middle = extra[extra.length >> 1]!;
  return html`<section data-clock>
<h2>Whether saved MACs are saved time</h2>
${figure(
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
)}
</section>`;
}

export function policiesSection({ manifest }: ReportFacts, { twice }: Pen): Html | undefined {
  const { policyComparison: comparison, calibration } = manifest;
  if (!comparison) return undefined;
  const [from, to] = comparison.costs;
  const { policies } = comparison;
  const [best, second] = policies;
  const size = { width: 900, height: 90 + 30 * policies.length };
  return html`<section>
<h2>Why this policy</h2>
${figure(
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
)}
</section>`;
}

export function trainingSection({ manifest }: ReportFacts, { twice }: Pen): Html | undefined {
  const { training, exits } = manifest;
  if (!training) return undefined;
  const ids = exits.map(({ id }) => id);
  const ends = lossesInOrder(training, ids).map(
    ({ name, values }) => `${name} ${values[0]} to ${values.at(-1)}`,
  );
  return html`<section>
<h2>How training went</h2>
${figure(
  'Down is better',
  'Running mean of each exit’s loss (labels, and the original’s softened answers) over the steps; the original’s weights never move.',
  twice(() => trainingCurves(training, ids), `Training loss: ${ends.join(', ')}.`),
  'The learning rate falls to nothing, so lines flatten at the end whether or not there was more to learn: compare the accuracies of the exits with the original’s above, and ask for more epochs or samples where they are far below. Exits nearer to the input end higher, for they know less.',
)}
</section>`;
}
