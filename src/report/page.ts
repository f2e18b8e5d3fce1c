/** The report as one HTML file that asks for nothing: text, tables, and charts as SVG. */
import { closesAll, isGuessing } from '../calibrate/index.ts';
import { networkName, titleOf } from '../emit/chain-words.ts';
import type { Manifest } from '../emit/manifest.ts';
import { asGoodAlone, neverPays } from './alone.ts';
import { type Chart, openCharts, type Size } from './charts/draw.ts';
import { COPY_SCRIPT, COPY_SCRIPT_HASH } from './copy-script.ts';
import {
  examplesSection,
  type Images,
  leavingSection,
  modelSection,
  reliabilitySection,
  scoresSection,
} from './exit-sections.ts';
import { noTimeSaved, type PointFacts, type ReportFacts } from './facts.ts';
import { Html, html } from './html.ts';
import { costPercent, count, macs, ms, percent, signedPoints } from './numbers.ts';
import { reproduction } from './reproduction.ts';
import { latencySection, policiesSection, trainingSection } from './run-sections.ts';
import { contents, drawSection, type Pen, passesOf } from './section.ts';
import { PAGE_CSS } from './style.ts';
import { tradeOff } from './trade-off.ts';

const WIDE: Size = { width: 900, height: 400 };
const NARROW: Size = { width: 360, height: 330 };
const SMALL: Size = { width: 360, height: 310 };

/**
 * `facts` on a page. The same facts give the same bytes; what clocks measured is inside elements with the attribute `data-clock`
 * and nowhere else. `images`: those of the examples; undefined when samples are not images.
 */
export async function reportPage(facts: ReportFacts, images: Images | undefined): Promise<string> {
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
  const sections = [
    tradeOff(facts, pen),
    modelSection(facts),
    leavingSection(facts, pen),
    scoresSection(facts, pen),
    reliabilitySection(facts, pen),
    latencySection(facts, pen),
    images && examplesSection(facts, images),
    policiesSection(facts, pen),
    trainingSection(facts, pen),
    reproduction(manifest),
  ].filter((section) => section !== undefined);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '${COPY_SCRIPT_HASH}'">
<title>${manifest.networks ? titleOf(manifest) : `${manifest.source.file} with early exits`}</title>
<style>${new Html(PAGE_CSS)}</style>
</head>
<body>
<main>
${summary(facts)}
${contents(sections)}
${sections.map(drawSection)}
</main>
<script>${new Html(COPY_SCRIPT)}</script>
</body>
</html>
`;
  return page.text;
}

function summary({ manifest, chosen, samples, alone }: ReportFacts): Html {
  const { baseline, measuredOn, data } = manifest;
  const reported = data[measuredOn];
  const saved = 1 - chosen.relativeCost;
  const measured = chosen.latencyMsMean ?? undefined;
  const original = baseline.latencyMsMean ?? undefined;
  const asGood = asGoodAlone(manifest, alone);
  const never = neverPays(manifest);
  const slow = noTimeSaved(manifest, '--thresholds baked');
  const fitted = ['train', 'validation', 'calibration'] as const;
  const sharing = fitted.filter(
    (split) => split !== measuredOn && !reported?.random && data[split]?.hash === reported?.hash,
  );
  return html`<header>
<p class="kicker">Offramp report</p>
<h1>${manifest.networks ? `A ${titleOf(manifest)}` : titleOf(manifest)}</h1>
<p class="lead">At <strong>${chosen.name}</strong>, the operating point used unless you name another, a sample costs ${costPercent(chosen.relativeCost)} of the original’s MACs on average. ${describeLoss(chosen, manifest)}${manifest.networks && ` The original is ${networkName(manifest, manifest.networks.length - 1)}: only samples that the networks before it are not sure of get there.`}</p>
${never !== undefined && !reported?.random && html`<p class="warning">${never}</p>`}
${asGood !== undefined && html`<p class="good">${asGood}</p>`}
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
