/** What the server counts, as text for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/ */
import type { CompiledPackage, Governor, Model } from './compiled-package.ts';

/** By what follows the metric's name: nothing, a label, or `_sum` and `_count`. */
type Values = Readonly<Record<string, number>>;

/** What there is at a moment. */
export interface Load {
  /** Pictures on their way. */
  readonly arriving: number;
  /** Pictures that are there and have no answer yet. */
  readonly open: number;
  /** Of those, the ones that are decoded and wait for a run. */
  readonly waiting: number;
}

export class Metrics {
  /** Runs of the model, each of a batch. */
  runs = 0;
  /** Samples that were answered, and the seconds from their decoding to the start of their run. */
  samples = 0;
  waitedSeconds = 0;
  /** By status. */
  readonly responses: Record<number, number> = {};

  text(
    { exits, operatingPoints }: CompiledPackage,
    { statistics }: Model,
    { arriving, open, waiting }: Load,
    governor?: Governor,
  ): string {
    const { counts, meanRelativeCost, drift } = statistics;
    const ids = [...exits.map(({ id }) => id), 'full'];
    const points = Object.keys(operatingPoints);
    return [
      metric('offramp_samples_total', 'counter', 'Samples by the exit they left at.', by('exit', ids.map((id, k) => [id, counts[k]!]))),
      metric('offramp_mean_relative_cost', 'gauge', 'Mean cost of a sample as a share of the original model.', meanRelativeCost),
      metric('offramp_drift_alarm', 'gauge', '1 when samples no longer leave where they were measured to.', Number(drift?.alarm ?? false)),
      governor ? metric('offramp_governor_point', 'gauge', '1 for the operating point that the governor has chosen.', by('at', points.map((at) => [at, Number(at === governor.at)]))) : '',
      metric('offramp_runs_total', 'counter', 'Runs of the model, each of a batch.', this.runs),
      metric('offramp_arriving_requests', 'gauge', 'Requests to classify whose picture is on its way.', arriving),
      metric('offramp_open_requests', 'gauge', 'Requests to classify whose picture is here, without an answer yet.', open),
      metric('offramp_waiting_samples', 'gauge', 'Decoded pictures that wait for a run.', waiting),
      metric('offramp_queue_seconds', 'summary', 'From a decoded picture to the start of its run.', { _sum: this.waitedSeconds, _count: this.samples }),
      metric('http_responses_total', 'counter', 'Responses by status.', by('status', Object.entries(this.responses))),
    ].join(''); // biome-ignore format: a table
  }
}

function metric(
  name: string,
  type: 'counter' | 'gauge' | 'summary',
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
