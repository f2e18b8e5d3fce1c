/** The report's first section: what every operating point costs and loses, and what it is for. */
import { CLOSED, closesAll, NAMED_DROPS } from '../calibrate/index.ts';
import { inWords, networkName } from '../emit/chain-words.ts';
import type { Manifest } from '../emit/manifest.ts';
import { type AloneFacts, betterAlone, betterThan, leavesAtOne } from './alone.ts';
import { costAxis, drawnAlone, frontier } from './charts/points.ts';
import { losesMore, type PointFacts, type ReportFacts } from './facts.ts';
import { Html, html, scrolling } from './html.ts';
import { costPercent, count, ms, percent, signedPoints } from './numbers.ts';
import { figure, type Pen, passesOf, type Section } from './section.ts';
import { usePoints } from './use-points.ts';

export function tradeOff(facts: ReportFacts, { twice }: Pen): Section {
  const { manifest, points, chosen, alone } = facts;
  const named = points.filter((point) => point.named);
  const baked = manifest.outputs.thresholds === null;
  const atOne = leavesAtOne(manifest);
  const label = `Accuracy against average cost: ${named.map((p) => `${p.name} ${percent(p.accuracy)} at ${costPercent(p.relativeCost)} cost`).join(', ')}; ${alone.map((one) => `${one.name} alone ${percent(one.accuracy)} at ${costPercent(one.relativeCost)} cost, `).join('')}original ${percent(manifest.baseline.accuracy)}.`;
  const { min } = costAxis(facts);
  const content = html`${figure(
    'Up is more accurate, left is cheaper',
    `Each dot is one setting of the thresholds (much worse ones are cut off); the named ones are in the table below, the full dot is the default. The dashed line is the original.${describeDiamonds(facts)}${min > 0 ? ` Costs are drawn from ${min} % on, not from 0.` : ''}`,
    twice((size) => frontier(facts, size), label),
    html`Where the band reaches the dashed line, a difference to the original cannot be told from chance. It is the 95 % interval of the paired difference on these ${count(facts.samples)} samples (Agresti and Min 2005), for each point by itself. ${cheapestLikeOriginal(points)}`,
  )}
${baked && html`<p class="warning">The thresholds of <strong>${chosen.name}</strong> are built into model.onnx; only these were run and timed. The other rows are of other thresholds, by hand from what ${manifest.networks ? 'the networks' : 'heads and original'} say.</p>`}
${scrolling(
  'Operating points',
  html`<table>
<caption><span>Operating points. Change: accuracy in points against the original, with its 95 % interval.${manifest.latency !== null && ` Latency: one sample a run, the mean over samples of each one’s least of ${passesOf(manifest.latency)} runs.`}</span></caption>
<thead><tr><th scope="col">Point</th><th scope="col">Cost</th><th scope="col">Accuracy</th><th scope="col">Change</th><th scope="col">SplitAgreement</th><th scope="col">Latency</th><th scope="col" class="words">Take it when</th></tr></thead>
<tbody>${named.map(
    (p) =>
      html`<tr${p === chosen && new Html(' class="chosen"')}><th scope="row">${p.name}${p === chosen && ' ✓'}</th><td>${costPercent(p.relativeCost)}</td><td>${percent(p.accuracy, 2)}</td><td>${describeChange(p)}</td><td>${percent(p.agreement, 2)}</td><td data-clock>${ms(p.latencyMsMean ?? undefined)}</td><td class="words">${advice(p, manifest)}</td></tr>`,
  )}</tbody>
</table>`,
)}
${atOne !== undefined && html`<p>${atOne}</p>`}
${manifest.networks && networksTable(facts)}<details><summary>All ${points.length} settings, by name</summary>
${scrolling(
  'All settings',
  html`<table>
<thead><tr><th scope="col">Point</th><th scope="col">Cost</th><th scope="col">Accuracy</th><th scope="col">Change</th><th scope="col" class="words">Thresholds</th></tr></thead>
<tbody>${points.map((p) => html`<tr><th scope="row">${p.name}</th><td>${costPercent(p.relativeCost)}</td><td>${percent(p.accuracy, 2)}</td><td>${describeChange(p)}</td><td class="words">${p.thresholds.map(describeThreshold).join(', ')}</td></tr>`)}</tbody>
</table>`,
)}</details>
${usePoints(facts)}`;
  return { id: 'points', title: 'Which operating point to take', content };
}

/** Which networks alone are drawn, and which know too little for that. */
function describeDiamonds(facts: ReportFacts): string {
  const drawn = drawnAlone(facts);
  const below = facts.alone.filter((one) => !drawn.includes(one)).map(({ name }) => name);
  return [
    drawn.length > 0 && ' Diamonds are the other networks alone: what they cost and know without a chain.',
    below.length > 0 &&
      ` ${inWords(below)} alone ${below.length === 1 ? 'lies' : 'lie'} below what is drawn.`,
  ]
    .filter(Boolean)
    .join('');
}

/** What a user would run instead of the chain. */
function networksTable({ manifest, alone, points }: ReportFacts): Html {
  const { networks = [], baseline } = manifest;
  const worse = betterAlone(manifest);
  const beaten = (one: AloneFacts) =>
    points.filter((point) => point.named && !closesAll(point.thresholds) && betterThan([one], point));
  const rows = alone.map((one) => {
    const names = beaten(one).map(({ name }) => name);
    const says =
      names.length > 0 ? `costs less than ${inWords(names)}, and is at least as accurate here.` : '';
    return html`<tr><th scope="row">${one.name}</th><td>${costPercent(one.relativeCost)}</td><td>${percent(one.accuracy, 2)}</td><td>${changeOf(one.drop)}</td><td>${percent(one.agreement, 2)}</td><td data-clock>–</td><td class="words">${says}</td></tr>`;
  });
  return html`${worse !== undefined && html`<p class="warning">${worse}</p>`}
${scrolling(
  'Each network alone',
  html`<table>
<caption><span>Each network alone, without the chain, on the same samples.</span></caption>
<thead><tr><th scope="col">Network</th><th scope="col">Cost</th><th scope="col">Accuracy</th><th scope="col">Change</th><th scope="col">SplitAgreement</th><th scope="col">Latency</th><th scope="col" class="words">Beside the points</th></tr></thead>
<tbody>${rows}<tr><th scope="row">${networkName(manifest, networks.length - 1)}</th><td>100.0 %</td><td>${percent(baseline.accuracy, 2)}</td><td>none</td><td>100.00 %</td><td data-clock>${ms(baseline.latencyMsMean ?? undefined)}</td><td class="words">the original, as <strong>exact</strong> answers</td></tr></tbody>
</table>`,
)}`;
}

const describeThreshold = (threshold: number) =>
  threshold >= CLOSED ? 'closed' : String(Number(threshold.toPrecision(4)));

/** A sentence on the point that saves most where the loss may be none. */
function cheapestLikeOriginal(points: readonly PointFacts[]): string {
  const cheapest = points.find(({ drop }) => drop.low <= 0);
  return cheapest && !closesAll(cheapest.thresholds)
    ? `The cheapest of which that is so is ${cheapest.name}, at ${costPercent(cheapest.relativeCost)} of the cost.`
    : '';
}

const describeChange = ({ drop, thresholds }: PointFacts) =>
  closesAll(thresholds) ? 'none' : changeOf(drop);

const changeOf = (drop: PointFacts['drop']) =>
  html`${signedPoints(-drop.value)} <span class="aside">(${signedPoints(-drop.high)} to ${signedPoints(-drop.low)})</span>`;

/** What a point is for, by its name (calibrate/operating-points.ts). */
function advice(point: PointFacts, { calibration }: Manifest): string {
  const { name, guarantee, thresholds } = point;
  const { target } = calibration;
  if (name !== 'exact' && closesAll(thresholds))
    return `nothing cheaper ${guarantee ? `could be certified on ${count(guarantee.samples)} samples` : 'was good enough'}: no exit is open, this is exact.`;
  const promise = guarantee
    ? ` Promised with ${percent(guarantee.confidence, 0)} confidence: ${guarantee.risk === 'drop' ? 'accuracy falls by' : 'answers differ in'} at most ${signedPoints(guarantee.limit).slice(1)} points (tested on ${count(guarantee.samples)} samples).`
    : '';
  const [kind, value = ''] = name.split(/-(.*)/s) as [string, string?];
  const number = Number.parseFloat(value);
  const more = losesMore(point) ? ' These samples lose more than that, beyond chance.' : '';
  const givenUp = (standing: keyof typeof NAMED_DROPS) =>
    `chosen to lose at most ${100 * NAMED_DROPS[standing]} ${NAMED_DROPS[standing] === 0.01 ? 'point' : 'points'} of ${target} on new samples, on average over draws of the calibration samples.${more}`;
  const purposes: Record<string, () => string> = {
    fast: () => `throughput or battery comes first; ${givenUp('fast')}`,
    balanced: () => `you want most of the saving; ${givenUp('balanced')}`,
    accurate: () => `answers matter most; ${givenUp('accurate')}`,
    best: () =>
      `nothing found was more accurate on samples that the search had not seen: more than the original, beyond chance.`,
    exact: () => 'answers must be the original’s: nothing leaves early.',
    budget: () =>
      value.endsWith('ms')
        ? `you have ${value.replace('ms', ' ms')} a sample on the machine that compiled this.`
        : `you allow ${percent(number, 0)} of the original’s MACs: the best that keeps to it on new samples.`,
    accuracy: () => `you need ${percent(number)} ${target}.`,
    drop: () => `you can give up ${signedPoints(number).slice(1)} points of ${target} on new samples.`,
  };
  return (Object.hasOwn(purposes, kind) ? purposes[kind]!() : '') + promise;
}
