/** Plain-text tables of what was planned and what was measured. Fractions become percent only here. */

import type { AccuracyDifference, Comparison } from '../commands/compare.ts';
import type { Evaluation, Measured, MeasuredPoint } from '../commands/evaluate.ts';
import type { Inspection } from '../commands/inspect.ts';
import type { CompilePlan } from '../commands/plan.ts';
import type { Compiled } from '../commands/steps/describe-and-write.ts';
import { answerAt, networkName } from '../emit/chain-words.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { networksAlone } from '../report/alone.ts';
import { costPercent, macs } from '../report/numbers.ts';
import { passesOf } from '../report/section.ts';
import { formatNote } from './command.ts';
import { seconds } from './progress.ts';

export const percent = (fraction: number | null, digits = 2) =>
  fraction === null ? '–' : `${(100 * fraction).toFixed(digits)} %`;
const ms = (value: number | null | undefined) =>
  value === null || value === undefined ? '–' : `${value.toFixed(2)} ms`;
/** Columns padded to their widest cell; the first is left-aligned, the others right-aligned. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)))
      .join('  ')
      .trimEnd();
  const [head, ...body] = rows;
  return [line(head!), widths.map((w) => '─'.repeat(w)).join('  '), ...body.map(line)].join('\n');
}

/** What a model is: its classes, cost, inputs and where exits merge. */
export function formatModel(path: string, inspection: Inspection): string {
  const { inputs, output, logits, activation, classes, batch, totalMacs, notes } = inspection;
  const scores = { none: 'logits', logit: 'logit of class 1', sigmoid: 'probability of class 1' };
  const kind = scores[activation as keyof typeof scores] ?? activation;
  const takes = inputs.map(({ name, dataType, dims }) => `${name} ${dataType} [${dims.join(', ')}]`);
  return [
    `${path}: ${classes} classes, ${batch} batch, ${macs(totalMacs)} MACs a sample`,
    ...notes.map(formatNote),
    `takes: ${takes.join(', ')}`,
    `scores: ${output} (${kind}), exits merge at ${logits}`,
  ].join('\n');
}

/** What to do after looking at a model. */
export function formatNext(path: string, inspection: Inspection): string {
  const { inputs, networks, preprocessing, tokenizer } = inspection;
  const [first] = inputs;
  const isPicture = first !== undefined && [3, 4].includes(first.dims.length);
  const isText = first?.dataType.startsWith('int');
  const asksPreset = isPicture && preprocessing === undefined;
  const asksTokenizer = !isPicture && isText && tokenizer === undefined;
  const missing = asksPreset
    ? '--preset <as it was trained with> '
    : asksTokenizer
      ? '--tokenizer <tokenizer.json> '
      : '';
  const samples = networks ? '--first … --calibration <samples>' : '--train <samples>';
  return `Next, to see what compiling it would take:\n  npx onnx-offramp compile ${path} \\\n    ${missing}${samples} --dry-run`;
}

/**
 * The original, each network of a chain alone, and every operating point: accuracy, agreement, cost, latency (the mean, or the median where it
 * is all there is; left out where none is), and where samples leave.
 */
function formatResults(
  manifest: Manifest | Measured,
  points: readonly (OperatingPoint | MeasuredPoint)[] = manifest.operatingPoints,
): string {
  const { baseline, exits } = manifest;
  const latencyOf = ({
    latencyMsMean,
    latencyMsP50,
  }: Pick<OperatingPoint, 'latencyMsMean' | 'latencyMsP50'>) => latencyMsMean ?? latencyMsP50;
  const timed = [baseline, ...points].some((one) => latencyOf(one) !== null);
  const latency = (one: Parameters<typeof latencyOf>[0]) => (timed ? [ms(latencyOf(one))] : []);
  const header = [
    '',
    'accuracy',
    'agreement',
    'MACs',
    ...(timed ? ['latency'] : []),
    ...exits.map((e) => e.id),
    manifest.networks ? 'original' : 'full path',
  ];
  const nowhere = [...exits.map(() => ''), ''];
  const original = [
    'original',
    percent(baseline.accuracy),
    percent(1),
    macs(baseline.macs),
    ...latency(baseline),
  ];
  const alone = networksAlone(manifest).map(({ name, accuracy, relativeCost }) => [
    `${name} alone`,
    percent(accuracy),
    '',
    costPercent(relativeCost),
    ...(timed ? [''] : []),
    ...nowhere,
  ]);
  const rows = points.map((point) => [
    point.name,
    percent(point.accuracy),
    percent(point.agreement),
    costPercent(point.relativeCost),
    ...latency(point),
    ...point.exitShares.map((share) => percent(share, 1)),
  ]);
  const table = formatTable([header, ...alone, [...original, ...nowhere], ...rows]);
  return manifest.networks ? `${table}\n\n${describeAnswers(manifest)}` : table;
}

/** Who answers at the exits of a chain, which the columns of the table are. */
function describeAnswers(manifest: Manifest | Measured): string {
  const columns = [...manifest.exits.map(({ id }) => id), 'original'];
  return `${columns.map((column, k) => `${column}: ${answerAt(manifest, k)}`).join('; ')}.`;
}

/** What came out of a compile or a calibration, in `folder`. */
export function formatCompiled({ manifest, shown }: Compiled, folder: string): string {
  const { measuredOn, data, latency, operatingPoints } = manifest;
  const rest = describeHidden(
    operatingPoints.filter((point) => !shown.includes(point)),
    `npx onnx-offramp evaluate ${folder} --test <samples> --all-points shows them`,
  );
  const timed = latency
    ? `Latency: one sample a run, the least of ${passesOf(latency)} runs of each, their mean.\n`
    : '';
  return `\n${formatResults(manifest, shown)}${rest}\n\n${timed}Measured on ${measuredOn} (${data[measuredOn]?.samples} samples). Written to ${folder}`;
}

/** The points that `isShown` lets through, as they are now, and whether that is what the manifest says. */
export function formatEvaluation(evaluation: Evaluation, isShown: (name: string) => boolean): string {
  const { measured } = evaluation;
  const points = measured.operatingPoints;
  const shown = points.filter(({ name }) => isShown(name));
  const rest = describeHidden(
    points.filter(({ name }) => !isShown(name)),
    '--all-points shows them',
  );
  return `\n${formatResults(measured, shown)}${rest}\n\n${describeAgreement(evaluation)}`;
}

/** A line on points without a row; empty where all have one. */
const describeHidden = (hidden: readonly { readonly name: string }[], how: string): string =>
  hidden.length === 0
    ? ''
    : `\n${hidden.length} more (${hidden[0]!.name}, …) lie between these on the same curve: ${how}.`;

/** Samples whose score is so near to a threshold that another batch may move it to the other side. */
const ROUNDED = 1.5;

/** Data of one kind do not differ so much in what a model knows of them. */
const ODD = 0.1;

function describeAgreement({
  sameData,
  largestDifference,
  movedShare,
  measured,
  promised,
}: Evaluation): string {
  if (!sameData) {
    const [now, then] = [measured.baseline.accuracy, promised.baseline.accuracy];
    const odd =
      now !== null && Math.abs(now - then) > ODD
        ? ` The original itself is right on ${percent(now)} of them, and on ${percent(then)} of those: is it fed what it was trained on (preprocessing, --tokenizer), and are labels in the same order?`
        : '';
    return `Other data than the manifest's figures are from (its ${promised.measuredOn} split).${odd}`;
  }
  const { length } = measured.operatingPoints;
  const compared = measured.baseline.accuracy === null ? 'accuracy and cost' : 'accuracy, agreement and cost';
  const apart = `${length === 1 ? '1 point' : `${length} points`}: ${compared} within ${percent(largestDifference, 3)}, at most ${percent(movedShare)} of the samples left elsewhere`;
  return largestDifference <= Math.max(1e-3, ROUNDED / promised.data[promised.measuredOn]!.samples)
    ? `Agrees with the manifest (${apart}).`
    : `Differs from the manifest (${apart}).`;
}

/** Two models side by side, and in words how far apart they are. */
export function formatComparison({
  samples,
  a,
  b,
  agreement,
  accuracy,
  macsRatio,
  latencyRatio,
}: Comparison): string {
  const header = ['', 'model', 'point', 'accuracy', 'MACs', 'of its own', 'median latency'];
  const rows = [a, b].map((side, i) => [
    'AB'[i]!,
    side.path,
    side.point ?? '–',
    side.accuracy === null ? '–' : percent(side.accuracy),
    macs(side.macs),
    costPercent(side.relativeCost),
    ms(side.latencyMsP50),
  ]);
  const lines = [`Both give ${percent(agreement)} of ${samples} samples the same class.`];
  if (accuracy) lines.push(formatDifference(accuracy));
  lines.push(
    `B costs ${macsRatio.toFixed(3)} of A's average MACs and takes ${latencyRatio.toFixed(3)} of its median time, one sample a run, measured in turn.`,
  );
  return `${formatTable([header, ...rows])}\n\n${lines.join('\n')}`;
}

/** What a dry run found. */
export function formatPlan(plan: CompilePlan): string {
  const { networks = [] } = plan;
  const fileOf = (id: string | undefined) =>
    networks.flatMap((network, n) => (network.id === id ? [networkName(plan, n)] : []));
  const exits = plan.exits.map(({ id, network, tap, head, prefixCost, headCost }) => [
    ...[id, ...fileOf(network), head === 'end' ? 'its end' : tap, head === 'end' ? '–' : head],
    ...[percent(prefixCost, 1), percent(headCost, 1)],
  ]);
  const costs = networks.map(({ relativeCost, secondsPerSample }, n) => [
    networkName(plan, n),
    costPercent(relativeCost),
    ms(1000 * secondsPerSample),
  ]);
  const inNetwork = networks.length > 0 ? ['network'] : [];
  const data = Object.entries(plan.data).map(([split, { samples, from, cached }]) => [
    split,
    String(samples),
    from ?? (cached ? 'decoded before' : ''),
  ]);
  const { total, ...parts } = plan.seconds;
  const times = Object.entries(parts)
    .filter(([, value]) => value >= 0.05)
    .map(([name, value]) => `${name === 'verifying' ? 'verifying and timing' : name} ${seconds(value)}`);
  return [
    ...(costs.length > 0 ? [formatTable([['network', 'MACs', 'a sample in a batch'], ...costs])] : []),
    formatTable([['exit', ...inNetwork, 'tap', 'head', 'prefix cost', 'head cost'], ...exits]),
    formatTable([['data', 'samples', ''], ...data]),
    ...(plan.data.validation || !plan.features
      ? []
      : [
          'Validation samples come off the training data, or off calibration where the original knows its training data by heart.',
        ]),
    ...(plan.growth
      ? [
          `Growing: ${plan.growth.epochs} epochs, ${plan.growth.steps} steps of ${plan.growth.batch} samples a student; --student-epochs, --steps and --max-minutes make it shorter.`,
        ]
      : []),
    `Time: about ${seconds(total)} (${times.join(', ')}), by trying a few samples of each; more where phases were not tried: thresholds, fitting policies.`,
    `Memory: at least ${formatBytes(plan.memoryBytes)}. Disk: ${formatBytes(plan.cacheBytes)} in the cache${plan.features ? ` (features ${plan.features.storage})` : ''}, ${formatBytes(plan.outputBytes)} for the result.`,
    'Nothing was written.',
  ].join('\n\n');
}

const formatBytes = (value: number) =>
  value >= 1e9
    ? `${(value / 1e9).toFixed(1)} GB`
    : value >= 1e6
      ? `${(value / 1e6).toFixed(0)} MB`
      : `${(value / 1e3).toFixed(0)} kB`;

/** Below this p-value a difference is called one. */
const SIGNIFICANT = 0.05;

function formatDifference({ difference, interval, onlyA, onlyB, pValue }: AccuracyDifference): string {
  const points = (share: number) => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(2)}`;
  const found = pValue < SIGNIFICANT ? 'a real difference' : 'no significant difference';
  const p = pValue < 1e-4 ? 'p < 0.0001' : `p = ${pValue.toFixed(4)}`;
  return `Accuracy of B − A: ${points(difference)} points, 95 % interval ${points(interval[0])} to ${points(interval[1])}; only A is right on ${onlyA}, only B on ${onlyB}: ${found} (${p}, McNemar's exact test).`;
}
