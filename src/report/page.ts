/** The report as one HTML file that asks for nothing: text, tables, and charts as SVG. */
import { closesAll, isGuessing } from '../calibrate/index.ts';
import type { Manifest } from '../emit/manifest.ts';
import { openCharts, type Size } from './charts/draw.ts';
import { leavingAtExits, leavingAtPoints, reliabilityDiagram, scoreHistogram } from './charts/exits.ts';
import { lossesInOrder, policyCurves, policyMeans, trainingCurves } from './charts/fits.ts';
import { latencyAgainstCost, type Timed } from './charts/points.ts';
import { type Example, noTimeSaved, type PointFacts, type ReportFacts } from './facts.ts';
import { Html, html, scrolling } from './html.ts';
import { drawModelLine, lineOf } from './model-line.ts';
import { count, macs, percent, signedPoints } from './numbers.ts';
import { colour, exitColour } from './palette.ts';
import { reproduction } from './reproduction.ts';
import { type Chart, figure, ms, type Pen, passesOf } from './section.ts';
import { PAGE_CSS } from './style.ts';
import { tradeOff } from './trade-off.ts';

/** PNG of a sample, by its index. */
export type Pictures = ReadonlyMap<number, Uint8Array>;

const WIDE: Size = { width: 900, height: 400 };
const HALF: Size = { width: 440, height: 310 };
const NARROW: Size = { width: 360, height: 330 };
const SMALL: Size = { width: 360, height: 310 };

/**
 * `facts` on a page. The same facts give the same bytes; what clocks measured is inside elements with the attribute `data-clock`
 * and nowhere else. `pictures`: those that the examples name; undefined when samples are no pictures.
 */
export async function reportPage(facts: ReportFacts, pictures: Pictures | undefined): Promise<string> {
  const draw = await openCharts();
  let drawn = 0;
  /** One drawing for all widths. */
  const chart = (option: Chart, label: string, size = SMALL): Html =>
    new Html(draw(option, size, `chart${++drawn}`, label));
  /** One for screens that are wide enough and one for those that are not. */
  const twice = (option: (size: Size) => Chart, label: string, wide = WIDE): Html =>
    html`<div class="wide">${chart(option(wide), label, wide)}</div><div class="narrow">${chart(option(NARROW), label, NARROW)}</div>`;
  const pen: Pen = { chart, twice };
  const { manifest } = facts;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${manifest.source.file} with early exits</title>
<style>${new Html(PAGE_CSS)}</style>
</head>
<body>
<main>
${summary(facts)}
${tradeOff(facts, pen)}
${model(facts)}
${leavingSection(facts, pen)}
${scoresSection(facts, pen)}
${reliabilitySection(facts, pen)}
${latencySection(facts, pen)}
${pictures && examplesSection(facts, pictures)}
${policiesSection(facts, pen)}
${trainingSection(facts, pen)}
${reproduction(manifest)}
</main>
</body>
</html>
`;
  return page.text;
}

function summary({ manifest, chosen, samples }: ReportFacts): Html {
  const { source, baseline, exits, measuredOn, data } = manifest;
  const reported = data[measuredOn];
  const saved = 1 - chosen.relativeCost;
  const measured = chosen.latencyMsMean ?? undefined;
  const original = baseline.latencyMsMean ?? undefined;
  const slow = noTimeSaved(manifest);
  const fitted = ['train', 'validation', 'calibration'] as const;
  const sharing = fitted.filter(
    (role) => role !== measuredOn && !reported?.random && data[role]?.hash === reported?.hash,
  );
  return html`<header>
<p class="kicker">Offramp report</p>
<h1>${source.file} with ${exits.length === 1 ? 'an early exit' : `${exits.length} early exits`}</h1>
<p class="lead">At <strong>${chosen.name}</strong>, the operating point used unless you name another, a sample costs ${percent(chosen.relativeCost)} of the original’s MACs on average. ${describeLoss(chosen, manifest)}</p>
${reported?.random && html`<p class="warning">The samples were random numbers. They show that everything runs: no accuracy, cost or share below means anything.</p>`}
${reported && !reported.random && isGuessing(Math.round(baseline.accuracy * samples), samples, manifest.classes) && html`<p class="warning">The original itself is right on ${percent(baseline.accuracy)} only, hardly better than guessing among ${count(manifest.classes)} classes: it was fed something else than it was trained on, or labels are not in the order of its outputs. Nothing below means anything.</p>`}
${slow && html`<p class="warning" data-clock>${slow}</p>`}
${!reported?.random && reported?.labels === 'original' && html`<p class="warning">Nothing was labelled: the original’s own answers stand in for labels, so “accuracy” and “right” mean agreement with it.</p>`}
${reported?.from === 'split of train' && !reported.random && html`<p class="warning">These samples were cut off the training data. If the original was trained on those, neither its accuracy nor what is lost to it is that of new data.</p>`}
${sharing.length > 0 && html`<p class="warning">The ${measuredOn} samples are the ${sharing.join(' and ')} samples too: what is fitted on samples looks too good on them.</p>`}
${measuredOn === 'calibration' && html`<p class="warning">There was no test data: these figures are of the samples that thresholds were chosen on, and flatter them a little.</p>`}
<dl class="tiles">
<div><dt>MACs saved</dt><dd>${percent(saved)}</dd><dd class="aside">of ${macs(baseline.macs)} a sample</dd></div>
<div><dt>Accuracy</dt><dd>${percent(chosen.accuracy, 2)}</dd><dd class="aside">original ${percent(baseline.accuracy, 2)}</dd></div>
<div><dt>Answers as the original</dt><dd>${percent(chosen.agreement, 2)}</dd><dd class="aside">of ${count(samples)} ${measuredOn} samples</dd></div>
<div data-clock><dt>Latency</dt><dd>${ms(measured)}</dd><dd class="aside">original ${ms(original)}, one at a time${manifest.latency !== null && `, each sample at its best of ${passesOf(manifest.latency)} runs`}</dd></div>
</dl>
</header>`;
}

function describeLoss({ drop, thresholds }: PointFacts, { data, measuredOn }: Manifest): string {
  const what = data[measuredOn]?.labels === 'original' ? 'agreement' : 'accuracy';
  const [change, low, high] = [-drop.value, -drop.high, -drop.low].map((d) => signedPoints(d)) as [
    string,
    string,
    string,
  ];
  if (closesAll(thresholds)) return 'No exit is open: every answer is the original’s.';
  const clear =
    drop.low > 0
      ? 'a loss beyond chance'
      : drop.high < 0
        ? 'a gain beyond chance'
        : 'no difference beyond chance';
  return `Its ${what} differs from the original’s by ${change} points on these samples (95 % interval ${low} to ${high}: ${clear}).`;
}

function model({ manifest, chosen }: ReportFacts): Html {
  const line = lineOf(manifest, chosen);
  return html`<section>
<h2>The model and its exits</h2>
${figure(
  'Left to right is the way of a sample',
  `Boxes on top are pieces of the original, in equal width; circles are taps, and below each hangs its exit’s head. Lines are as thick as their share of the samples at ${chosen.name}.`,
  scrolling(new Html(drawModelLine(line))),
  describeHeads(manifest),
)}
</section>`;
}

function describeHeads({ exits, baseline }: Manifest): string {
  const heads = exits.reduce((sum, { headMacs }) => sum + headMacs, 0);
  return `The heads add ${macs(heads)} MACs where all are open, ${percent(heads / baseline.macs)} of the original; a closed one is not run.`;
}

function leavingSection(facts: ReportFacts, { chart }: Pen): Html {
  const { manifest, leaving, chosen, samples } = facts;
  const names = [...manifest.exits.map(({ id }) => id), 'full path'];
  const said = leaving
    .map(({ right, wrong }, k) => `${names[k]} ${right} right and ${wrong} wrong`)
    .join(', ');
  const early = leaving
    .slice(0, -1)
    .reduce((sum, at) => ({ right: sum.right + at.right, wrong: sum.wrong + at.wrong }), {
      right: 0,
      wrong: 0,
    });
  const all = early.right + early.wrong;
  return html`<section>
<h2>Where samples leave</h2>
<div class="pair">
${figure(
  `At ${chosen.name}, right and wrong`,
  'The length of a bar is the number of samples that leave there; beside it the share that is right.',
  chart(leavingAtExits(facts), `Samples that leave: ${said}.`, HALF),
  all === 0
    ? 'At this point nothing leaves early.'
    : `${count(all)} of ${count(samples)} samples leave early, and ${percent(early.right / all)} of those are right.`,
)}
${figure(
  'At every operating point',
  'Each row is all samples: the more colour at the left, the earlier they leave.',
  chart(
    leavingAtPoints(facts),
    `Shares of samples by exit: ${facts.points
      .filter((p) => p.named)
      .map((p) => `${p.name} ${p.exitShares.map((s) => percent(s, 0)).join(', ')}`)
      .join('; ')}.`,
    HALF,
  ),
  'Gray goes all the way through the original.',
)}
</div>
</section>`;
}

function scoresSection({ manifest, scores }: ReportFacts, { chart }: Pen): Html {
  const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
  return html`<section>
<h2>How well exits know when they are right</h2>
<p>Every exit was asked about every sample, and answered with a class and a score (policy <code>${manifest.policy}</code>). Samples whose score is above the threshold leave. The further apart the bars above and below the axis, the better the exit tells its right answers from its wrong ones. Above and below are drawn to scales of their own: the tallest bar of each is as high.</p>
<div class="${columnsFor(scores.length)}">
${scores.map((exit, k) => {
  const { id } = manifest.exits[k]!;
  const [right, wrong] = [sum(exit.right), sum(exit.wrong)];
  const lines = exit.thresholds.map(({ point, at }) => `${point} ${Number(at.toPrecision(3))}`).join(', ');
  return figure(
    `Scores at ${id}`,
    'Up: samples it answers right. Down: wrong. Lines: thresholds.',
    chart(
      scoreHistogram(exit),
      `Histogram of scores at ${id}; ${right} right, ${wrong} wrong; thresholds: ${lines || 'closed everywhere'}.`,
    ),
    `${count(right)} right, ${count(wrong)} wrong${exit.unscored > 0 ? `, ${count(exit.unscored)} without a score` : ''}. ${lines ? '' : 'Closed at the points compared here.'}`,
  );
})}
</div>
</section>`;
}

function reliabilitySection({ manifest, reliability }: ReportFacts, { chart }: Pen): Html {
  return html`<section>
<h2>Whether probabilities can be believed</h2>
<p>Answers are sorted by the probability they were given (15 bins). On the diagonal, what was said is what was seen; below it the exit is too sure of itself, above it too modest. Bars are 95 % intervals (Wilson). ECE is the mean distance from the diagonal, weighted by samples (expected calibration error, Naeini et al. 2015).</p>
<div class="${columnsFor(reliability.length)}">
${reliability.map((exit, k) => {
  const id = manifest.exits[k]?.id ?? 'original';
  const tint = k < manifest.exits.length ? exitColour(k, manifest.exits.length) : colour('full');
  return figure(
    id === 'original' ? 'The original' : `Probabilities of ${id}`,
    `ECE ${percent(exit.ece, 2)}, accuracy ${percent(exit.accuracy)} on all samples.`,
    chart(
      reliabilityDiagram(exit, tint),
      `Reliability of ${id}: expected calibration error ${percent(exit.ece, 2)}.`,
    ),
  );
})}
</div>
</section>`;
}

function latencySection({ manifest, points }: ReportFacts, { twice }: Pen): Html | undefined {
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

function examplesSection({ manifest, examples, chosen }: ReportFacts, pictures: Pictures): Html {
  const className = (c: number) => manifest.labels?.[c] ?? `class ${c}`;
  const shown = ({ sample, label, answer, probability }: Example): Html => {
    const said = label === answer ? className(answer) : `${className(label)}, taken for ${className(answer)}`;
    const png = pictures.get(sample);
    return html`<figure class="example"><img src="data:image/png;base64,${Buffer.from(png ?? []).toString('base64')}" alt="sample ${sample}: ${said}"><figcaption>${label === answer ? className(answer) : html`${className(answer)} <span class="aside">is ${className(label)}</span>`}<br><span class="aside">${percent(probability, 0)}</span></figcaption></figure>`;
  };
  const kinds = [
    ['easy', 'Easy: right, and surest'],
    ['hard', 'Hard: right, and least sure'],
    ['wrong', 'Wrong, and surest'],
  ] as const;
  return html`<section>
<h2>Who leaves where</h2>
<p>Samples that leave at each exit at ${chosen.name}, with the answer they get and its probability: the extremes of each kind, chosen by that probability alone.</p>
${examples.map((exit, k) => {
  const id = manifest.exits[k]?.id;
  const some = kinds.filter(([kind]) => exit[kind].length > 0);
  return html`<article class="leaving"><h3>${id ? `Leave at ${id}` : 'Go all the way'}</h3>${
    some.length === 0
      ? html`<p class="aside">Nobody, at this point.</p>`
      : html`<div class="kinds">${some.map(([kind, title]) => html`<div><h4>${title}</h4><div class="examples">${exit[kind].map(shown)}</div></div>`)}</div>`
  }</article>`;
})}
</section>`;
}

function policiesSection({ manifest }: ReportFacts, { twice }: Pen): Html | undefined {
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

function trainingSection({ manifest }: ReportFacts, { twice }: Pen): Html | undefined {
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

/** Three columns, unless two leave no gaps. */
const columnsFor = (drawings: number) => (drawings === 2 || drawings === 4 ? 'grid two' : 'grid');
