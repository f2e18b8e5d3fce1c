/** What the server counts, as text for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/ */
import type { CompiledPackage, Governor, Model } from './compiled-package.ts';

/** By what follows the metric's name: nothing, labels, or `_sum`, `_count` and `_bucket` with labels. */
type Values = Readonly<Record<string, number>>;

/** What there is at a moment. */
export interface Load {
  /** Requests whose body is on its way. */
  readonly arriving: number;
  /** Samples that are there and have no answer yet. */
  readonly open: number;
  /** Of those, the ones that wait for a run. */
  readonly waiting: number;
}

/** Of the histogram. */
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64] as const;

/** What a part of a model under /v2 has done. */
export class PartMetrics {
  /** `part` counts from 1. */
  readonly labels: { readonly model: string; readonly part: string; readonly network: string };
  runs = 0;
  samples = 0;
  runSeconds = 0;
  /** Of all samples, before their runs. */
  waitedSeconds = 0;
  /** Samples that went on to the next part. */
  survivors = 0;
  /** Runs of at most so many samples. */
  readonly atMost = new Map(BATCH_SIZES.map((size) => [size, 0]));

  constructor(labels: PartMetrics['labels']) {
    this.labels = labels;
  }

  ran(samples: number, seconds: number): void {
    this.runs++;
    this.samples += samples;
    this.runSeconds += seconds;
    for (const [size, runs] of this.atMost) if (samples <= size) this.atMost.set(size, runs + 1);
  }
}

/** Of /classify. */
export class ClassifyMetrics {
  /** Runs of the model, each of a batch. */
  runs = 0;
  /** Samples that were answered, and the seconds from their decoding to the start of their run. */
  samples = 0;
  waitedSeconds = 0;
  readonly #compiled: CompiledPackage;
  readonly #model: Model;
  readonly #governor: Governor | undefined;

  constructor(compiled: CompiledPackage, model: Model, governor: Governor | undefined) {
    this.#compiled = compiled;
    this.#model = model;
    this.#governor = governor;
  }

  text(): string {
    const { exits, operatingPoints } = this.#compiled;
    const { counts, meanRelativeCost, drift } = this.#model.statistics;
    const governor = this.#governor;
    const ids = [...exits.map(({ id }) => id), 'full'];
    const points = Object.keys(operatingPoints);
    return [
      metric('offramp_samples_total', 'counter', 'Samples by the exit they left at.', by('exit', ids.map((id, k) => [id, counts[k]!]))),
      metric('offramp_mean_relative_cost', 'gauge', 'Mean cost of a sample as a share of the original model.', meanRelativeCost),
      metric('offramp_drift_alarm', 'gauge', '1 when samples no longer leave where they were measured to.', Number(drift?.alarm ?? false)),
      governor ? metric('offramp_governor_point', 'gauge', '1 for the operating point that the governor has chosen.', by('at', points.map((at) => [at, Number(at === governor.at)]))) : '',
      metric('offramp_runs_total', 'counter', 'Runs of the model, each of a batch.', this.runs),
      metric('offramp_queue_seconds', 'summary', 'From a decoded picture to the start of its run.', { _sum: this.waitedSeconds, _count: this.samples }),
    ].join(''); // biome-ignore format: a table
  }
}

/** By status. */
export type Responses = Readonly<Record<number, number>>;

export function serverMetrics({ arriving, open, waiting }: Load, responses: Responses): string {
  return [
    metric('offramp_arriving_requests', 'gauge', 'Requests whose picture or tensors are on their way.', arriving),
    metric('offramp_open_requests', 'gauge', 'Samples that are here, without an answer yet.', open),
    metric('offramp_waiting_samples', 'gauge', 'Samples that wait for a run.', waiting),
    metric('http_responses_total', 'counter', 'Responses by status.', by('status', Object.entries(responses))),
  ].join(''); // biome-ignore format: a table
}

export function partsMetrics(parts: readonly PartMetrics[]): string {
  const each = (valuesOf: (part: PartMetrics) => Values): Values =>
    Object.assign({}, ...parts.map((part) => labelled(valuesOf(part), part.labels)));
  return [
    metric('offramp_part_batch_size', 'histogram', 'Samples of a run under /v2.', each(({ runs, samples, atMost }) => ({
      ...Object.fromEntries([...atMost].map(([size, count]) => [`_bucket{le="${size}"}`, count])),
      '_bucket{le="+Inf"}': runs, _sum: samples, _count: runs,
    }))),
    metric('offramp_part_run_seconds', 'summary', 'That a run took, with its way to the thread and back.', each(({ runSeconds, runs }) => ({ _sum: runSeconds, _count: runs }))),
    metric('offramp_part_queue_seconds', 'summary', 'That a sample waited for its run.', each(({ waitedSeconds, samples }) => ({ _sum: waitedSeconds, _count: samples }))),
    metric('offramp_part_survivors_total', 'counter', 'Samples that went on to the next part.', each(({ survivors }) => ({ '': survivors }))),
  ].join(''); // biome-ignore format: a table
}

function metric(
  name: string,
  type: 'counter' | 'gauge' | 'summary' | 'histogram',
  help: string,
  values: number | Values,
): string {
  const entries = Object.entries(typeof values === 'number' ? { '': values } : values);
  const lines = entries.map(([suffix, value]) => `${name}${suffix} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

/** Values that differ in the label `name`. */
function by(name: string, values: readonly (readonly [label: string, value: number])[]): Values {
  return Object.fromEntries(values.map(([label, value]) => [`{${name}=${JSON.stringify(label)}}`, value]));
}

/** `values` with further labels. */
function labelled(values: Values, labels: Readonly<Record<string, string>>): Values {
  const text = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(); // biome-ignore format: one line
  const withLabels = (suffix: string) => {
    const [name, own] = suffix.split(/[{}]/);
    return `${name}{${own ? `${text},${own}` : text}}`;
  };
  return Object.fromEntries(Object.entries(values).map(([suffix, value]) => [withLabels(suffix), value]));
}
