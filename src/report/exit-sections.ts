/** The sections of a report about exits: where they are, who leaves there, and how sure they are. */
import { answerAt, exitName, exitNames, inWords, leavingCostsAt } from '../emit/chain-words.ts';
import type { Manifest } from '../emit/manifest.ts';
import { leavingAtExits, leavingAtPoints, reliabilityDiagram, scoreHistogram } from './charts/exits.ts';
import type { Example, ReportFacts } from './facts.ts';
import { Html, html, scrolling } from './html.ts';
import { drawModelLine, lineOf } from './model-line.ts';
import { costPercent, count, macs, percent } from './numbers.ts';
import { colour, exitColour } from './palette.ts';
import { figure, HALF, type Pen, type Section } from './section.ts';

/** PNG of a sample, by its index. */
export type Images = ReadonlyMap<number, Uint8Array>;

export function modelSection({ manifest, chosen }: ReportFacts): Section {
  const line = lineOf(manifest, chosen);
  const reading = manifest.networks
    ? `Networks stand in the order samples meet them; each reads the input anew, and runs only for samples that have not left. Circles are exits: below each is what answers there, a network itself or a head. “Spent” counts all MACs so far, in shares of the original’s. Lines are as thick as their share of the samples at ${chosen.name}.`
    : `Boxes on top are pieces of the original, in equal width; circles are taps, and below each hangs its exit’s head. Lines are as thick as their share of the samples at ${chosen.name}.`;
  return {
    id: 'model',
    title: manifest.networks ? 'The networks and their exits' : 'The model and its exits',
    content: figure(
      'Left to right is the way of a sample',
      reading,
      scrolling('Drawing of the model', readable(drawModelLine(line))),
      manifest.networks ? describeChain(manifest) : describeHeads(manifest),
    ),
  };
}

/** Letters of `drawing` stay legible, however many exits there are: it scrolls before it is much smaller than it was drawn. */
function readable(drawing: string): Html {
  const width = Number(/ width="([\d.]+)"/.exec(drawing)![1]);
  return new Html(drawing.replace('<svg ', `<svg style="min-width:${Math.round(0.8 * width)}px" `));
}

function describeHeads({ exits, baseline }: Manifest): string {
  const heads = exits.reduce((sum, { headMacs }) => sum + headMacs, 0);
  return `The heads add ${macs(heads)} MACs where all are open, ${percent(heads / baseline.macs)} of the original; a closed one is not run.`;
}

function describeChain(manifest: Manifest): string {
  const { exits, baseline, leftOut = [] } = manifest;
  const heads = exits.reduce((sum, { headMacs }) => sum + headMacs, 0);
  const worst = leavingCostsAt(
    manifest,
    exits.map(() => 0),
  ).at(-1)!;
  const gone = leftOut.map(
    ({ file, relativeCost }) => `${file} (${costPercent(relativeCost)} of the original’s MACs)`,
  );
  return [
    `A sample that the original answers after every exit was asked has cost ${percent(worst)}.`,
    heads > 0 &&
      `The heads add ${macs(heads)} MACs where all are open, ${percent(heads / baseline.macs)} of the original.`,
    'A network whose exits are all closed is not run.',
    gone.length > 0 &&
      `Left out of the file: ${inWords(gone)} ${gone.length === 1 ? 'is' : 'are'} never worth ${gone.length === 1 ? 'its' : 'their'} cost here, for no named point uses ${gone.length === 1 ? 'it' : 'them'}.`,
  ]
    .filter(Boolean)
    .join(' ');
}

export function leavingSection(facts: ReportFacts, { chart }: Pen): Section {
  const { manifest, leaving, chosen, samples } = facts;
  const unused = unusedIn(facts);
  const names = exitNames(manifest);
  const counts = leaving
    .map(({ right, wrong }, k) => `${names[k]} ${right} right and ${wrong} wrong`)
    .join(', ');
  const early = leaving
    .slice(0, -1)
    .reduce((sum, at) => ({ right: sum.right + at.right, wrong: sum.wrong + at.wrong }), {
      right: 0,
      wrong: 0,
    });
  const all = early.right + early.wrong;
  const content = html`<div class="pair">
${figure(
  `At ${chosen.name}, right and wrong`,
  'The length of a bar is the number of samples that leave there; beside it the share that is right.',
  chart(leavingAtExits(facts), `Samples that leave: ${counts}.`, HALF),
  all === 0
    ? 'At this point nothing leaves early.'
    : `${count(all)} of ${count(samples)} samples leave early, and ${percent(early.right / all)} of those are right.`,
)}
${figure(
  'At every operating point',
  'Each row is all samples: the more colour at the left, the earlier they leave.',
  chart(
    leavingAtPoints(facts, HALF),
    `Shares of samples by exit: ${facts.points
      .filter((p) => p.named)
      .map((p) => `${p.name} ${p.exitShares.map((s) => percent(s, 0)).join(', ')}`)
      .join('; ')}.`,
    HALF,
  ),
  html`${manifest.networks ? 'Gray is answered by the original' : 'Gray goes all the way, the full path: the original answers'}; results of the package have <code>exitId: 'full'</code> there. ${manifest.networks && whoAnswers(manifest)}`,
)}
</div>
${unused.length > 0 && html`<p class="means">Not drawn: ${withoutUse(unused)}.</p>`}`;
  return { id: 'leaving', title: 'Where samples leave', content };
}

/** Who answers at each exit of a chain. */
const whoAnswers = (manifest: Manifest): string =>
  `${manifest.exits.map(({ id }, k) => `${id} is ${answerAt(manifest, k)}`).join(', ')}.`;

export function scoresSection(facts: ReportFacts, { chart }: Pen): Section {
  const { manifest, scores } = facts;
  const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
  const drawings = scores.map((exit, k) => {
    const id = exitName(manifest, k);
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
  });
  return {
    id: 'scores',
    title: 'How well exits know when they are right',
    content: html`<p>Every exit was asked about every sample, and answered with a class and a score (policy <code>${manifest.policy}</code>). Samples whose score is above the threshold leave. The further apart the bars above and below the axis, the better the exit tells its right answers from its wrong ones. Heights are numbers of samples, above and below to one scale, on which four times as many are twice as high.</p>
${columns(facts, drawings)}`,
  };
}

export function reliabilitySection(facts: ReportFacts, { chart }: Pen): Section {
  const { manifest, reliability } = facts;
  const drawings = reliability.map((exit, k) => {
    const isExit = k < manifest.exits.length;
    const id = isExit || manifest.networks ? exitName(manifest, k) : 'original';
    const tint = isExit ? exitColour(k, manifest.exits.length) : colour('full');
    return figure(
      isExit ? `Probabilities of ${id}` : `The ${id}`,
      `ECE ${percent(exit.ece, 2)}, accuracy ${percent(exit.accuracy)} on all samples.`,
      chart(
        reliabilityDiagram(exit, tint),
        `Reliability of ${id}: expected calibration error ${percent(exit.ece, 2)}.`,
      ),
    );
  });
  return {
    id: 'reliability',
    title: 'Whether probabilities can be believed',
    content: html`<p>Answers are sorted by the probability they were given (15 bins). On the diagonal, what was said is what was seen; below it the exit is too sure of itself, above it too modest. Bars are 95 % intervals (Wilson). ECE is the mean distance from the diagonal, weighted by samples (expected calibration error, Naeini et al. 2015).</p>
${columns(facts, drawings)}`,
  };
}

export function examplesSection(facts: ReportFacts, images: Images): Section {
  const { manifest, examples, chosen } = facts;
  const className = (c: number) => manifest.labels?.[c] ?? `class ${c}`;
  const shown = ({ sample, label, answer, probability }: Example): Html => {
    const caption =
      label === answer ? className(answer) : `${className(label)}, taken for ${className(answer)}`;
    const png = images.get(sample);
    return html`<figure class="example"><img src="data:image/png;base64,${Buffer.from(png ?? []).toString('base64')}" alt="sample ${sample}: ${caption}"><figcaption>${nameLine(className(answer))}${label !== answer && nameLine(`is ${className(label)}`, 'name aside')}<span class="aside">${percent(probability, 0)}</span></figcaption></figure>`;
  };
  const kinds = [
    ['easy', 'Easy: right, and surest'],
    ['hard', 'Hard: right, and least sure'],
    ['wrong', 'Wrong, and surest'],
  ] as const;
  const articles = examples.map((exit, k) => {
    const isExit = k < manifest.exits.length;
    const title = isExit
      ? `Leave at ${exitName(manifest, k)}`
      : manifest.networks
        ? `Go on to the ${exitName(manifest, k)}`
        : 'Go all the way';
    const some = kinds.filter(([kind]) => exit[kind].length > 0);
    return html`<article class="leaving"><h3>${title}</h3>${
      some.length === 0
        ? html`<p class="aside">Nobody, at this point.</p>`
        : html`<div class="kinds">${some.map(([kind, title]) => html`<div><h4>${title}</h4><div class="examples">${exit[kind].map(shown)}</div></div>`)}</div>`
    }</article>`;
  });
  const [used] = byUse(facts, articles);
  return {
    id: 'examples',
    title: 'Who leaves where',
    content: html`<p>Samples that leave at each exit at ${chosen.name}, with the answer they get and its probability: the extremes of each kind, chosen by that probability alone.</p>
${used}`,
  };
}

/** Long names are cut where they are drawn; a mouse is told all. */
const nameLine = (name: string, looks = 'name') =>
  html`<span class="${looks}" title="${name}">${name}</span>`;

/** [K] or [K + 1] parts, one for each exit and one for the original, in two: those to be seen, and those of exits that no named point uses. */
function byUse({ used }: ReportFacts, parts: readonly Html[]): [used: Html[], unused: Html[]] {
  const isUsed = (k: number) => used[k] ?? true;
  return [parts.filter((_, k) => isUsed(k)), parts.filter((_, k) => !isUsed(k))];
}

const unusedIn = ({ manifest, used }: ReportFacts): string[] =>
  manifest.exits.flatMap(({ id }, k) => (used[k] ? [] : [id]));

/** `exit_2, which no named operating point uses` */
const withoutUse = (exits: readonly string[]): string =>
  `${inWords(exits)}, which no named operating point uses`;

/** Drawings beside each other, one for each exit and perhaps one for the original; folded are those of exits that no named point uses. */
function columns(facts: ReportFacts, drawings: readonly Html[]): Html {
  const [used, unused] = byUse(facts, drawings);
  const grid = (some: readonly Html[]) => html`<div class="${columnsFor(some.length)}">${some}</div>`;
  return html`${used.length > 0 && grid(used)}
${unused.length > 0 && html`<details><summary>${withoutUse(unusedIn(facts))}</summary>${grid(unused)}</details>`}`;
}

/** Three columns, unless two leave no gaps. */
const columnsFor = (drawings: number) => (drawings === 2 || drawings === 4 ? 'grid two' : 'grid');
