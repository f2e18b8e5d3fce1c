/** The report's last section: how the same is made again. */
import type { DataSummary, Manifest } from '../emit/manifest.ts';
import { type Html, html, scrolling } from './html.ts';
import { count } from './numbers.ts';

/** A command line that asks for the same; data are named by their role. */
function commandOf(manifest: Manifest): string {
  const {
    source,
    inputs,
    exits,
    seed,
    recipe,
    training,
    policy,
    calibration,
    last,
    data,
    preprocessing,
    outputs,
    policyComparison,
    tokenizer,
  } = manifest;
  const unlabelled = data[manifest.measuredOn]?.labels === 'original';
  const list = (values: readonly unknown[] | undefined) =>
    values && values.length > 0 ? values.join(',') : undefined;
  // Where other roles were cut off the training data, what is left of them says so too.
  const isGiven = (name: keyof Manifest['data']) => data[name] && (name === 'train' || !data[name].from);
  const role = (name: keyof Manifest['data']) => (isGiven(name) ? name.toUpperCase() : undefined);
  const budgets = [...calibration.budgets, ...(calibration.budgetsMs ?? []).map((b) => `${b}ms`)];
  const options: [string, unknown][] = [
    ['output', source.output],
    ['dim', list(Object.entries(source.dims ?? {}).map((entry) => entry.join('=')))],
    ...Object.entries(source.set ?? {}).map(([name, value]): [string, unknown] => [
      'set',
      `${name}=${value}`,
    ]),
    ['widen-batch', source.widenBatch && ''],
    ['exit-outputs', list(source.exitOutputs)],
    ['taps', source.exitOutputs ? undefined : list(exits.map(({ tap }) => tap))],
    ['head', source.exitOutputs ? undefined : list(exits.map(({ head }) => head))],
    ...(inputs.length === 1 && preprocessing ? Object.entries(preprocessing) : [])
      .filter(([name, value]) => name !== 'channels' || value !== 'any')
      .map(([name, value]): [string, unknown] => [name, Array.isArray(value) ? list(value) : value]),
    ['recipe', training && recipe],
    ['epochs', training?.epochs],
    ['batch', training?.batch],
    ['learning-rate', training?.learningRate],
    ['lambda', training?.lambda],
    ['survivors', training?.survivors],
    ['views', training?.views],
    ['policy', policyComparison ? 'auto' : policy],
    ['last', last ? 'joined' : undefined],
    ['target', calibration.target],
    ['budget', list(budgets)],
    ['min-accuracy', list(calibration.minAccuracies)],
    ['max-accuracy-drop', list(calibration.maxAccuracyDrops)],
    ['confidence', calibration.confidence],
    ['thresholds', outputs.thresholds === null ? 'baked' : undefined],
    ['at', manifest.defaultPoint],
    ['threads', manifest.sessionOptions.threads ?? undefined],
    ['seed', seed],
    ['labels', unlabelled ? 'none' : source.labels && 'NAMES'],
    ['tokenizer', tokenizer && 'TOKENIZER'],
    ...(['train', 'validation', 'calibration', 'test'] as const).map(
      (name) => [name, role(name)] as [string, unknown],
    ),
  ];
  const said = options.flatMap(([name, value]) => (value === undefined ? [] : [`--${name} ${value}`.trim()]));
  return [`offramp compile ${source.file}`, ...said, '--out out/'].join(' \\\n  ');
}

/** What it takes to get the same bytes again: command, versions, hashes. */
export function reproduction(manifest: Manifest): Html {
  const { source, version, environment, sessionOptions, data, policyFit } = manifest;
  const roles: [string, string, DataSummary | undefined][] = [
    ['train', 'fitted the heads', data.train],
    ['validation', 'fitted confidence and temperatures', data.validation],
    ['validation', 'fitted the policy', policyFit?.data],
    ['calibration', 'chose thresholds', data.calibration],
    ['test', 'only reported', data.test],
  ];
  const rows: [string, string | Html][] = [
    [
      'Original',
      html`${source.file}, opset ${source.opset}${source.producer && `, ${source.producer}`}<br><code>sha256 ${source.sha256}</code>`,
    ],
    ['Offramp', version],
    ['Ran on', `Node ${environment.node}, ONNX Runtime ${environment.onnxruntime}, ${environment.platform}`],
    [
      'Session',
      `provider ${sessionOptions.provider}, threads ${sessionOptions.threads ?? 'left to ONNX Runtime'}, optimization ${sessionOptions.optimization}`,
    ],
    ['Seed', String(manifest.seed)],
    [
      'Exits',
      html`${manifest.exits.map(({ id, tap, head }) => html`${id}: <code>${tap}</code>, ${head}<br>`)}`,
    ],
  ];
  return html`<section>
<h2>To do it again</h2>
<p>The same file, data, options and machine give the same bytes, but for latencies. Names in capitals stand for the data of that role, which are told apart by their hashes; roles cut off another are not given.</p>
<pre><code>${commandOf(manifest)}</code></pre>
${scrolling(html`<table><caption>What compiled it</caption><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td class="words">${value}</td></tr>`)}</tbody></table>`)}
${scrolling(html`<table><caption>Data roles</caption>
<thead><tr><th scope="col">Role</th><th scope="col" class="words">What for</th><th scope="col">Samples</th><th scope="col" class="words">Where from</th><th scope="col" class="words">Hash of the samples</th></tr></thead>
<tbody>${roles.flatMap(([role, use, summary]) =>
  summary
    ? [
        html`<tr><th scope="row">${role}</th><td class="words">${use}</td><td>${count(summary.samples)}</td><td class="words">${summary.from ?? 'given'}</td><td class="words"><code>${summary.hash}</code></td></tr>`,
      ]
    : [],
)}</tbody></table>`)}
<p class="aside">Everything on this page is in manifest.json as data, but for histograms, reliability and examples.</p>
</section>`;
}
