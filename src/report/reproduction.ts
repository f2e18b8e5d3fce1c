/** The report's last section: how the same is made again. */

import type { DataSummary } from '../data/splits.ts';
import { answerAt, exitName } from '../emit/chain-words.ts';
import type { Manifest } from '../emit/manifest.ts';
import type { Grown } from '../networks/chain.ts';
import { RECIPE, type RecipeName } from '../train/recipes.ts';
import { firstOptions, needsSettings } from './first-words.ts';
import { codeBlock, type Html, html, scrolling } from './html.ts';
import { count, percent } from './numbers.ts';
import type { Section } from './section.ts';
import { commandLine, quotedPlace, quotedWord } from './shell.ts';

/**
 * A command line that asks for the same, for a shell of POSIX. What the manifest does not keep, where data, class names and the like are,
 * stands there in capitals.
 */
export function commandOf(manifest: Manifest): string {
  const { source, inputs, exits, seed, recipe, training, calibration, outputs, sessionOptions } = manifest;
  const { policy, policyComparison, final, data, policyFit, measuredOn, preprocessing, tokenizer } = manifest;
  const { provider, threads } = sessionOptions;
  const unlabelled = data[measuredOn]?.labels === 'original';
  const last = (manifest.networks?.length ?? 1) - 1;
  const placed =
    training?.exits ?? exits.filter(({ network = 0, head }) => network === last && head !== 'end');
  const own = source.exitOutputs === undefined;
  const budgets = [...calibration.budgets.map(String), ...(calibration.budgetsMs ?? []).map((b) => `${b}ms`)];
  const lambda = training?.lambda ?? 0;
  const options: (readonly [name: string, value: Value])[] = [
    ['external-data-folder', source.externalDataFolder && 'FOLDER'],
    ['output', source.output],
    ['dim', Object.entries(source.dims ?? {}).map((entry) => entry.join('='))],
    ...Object.entries(source.set ?? {}).map(([name, value]): [string, Value] => ['set', `${name}=${value}`]),
    ['widen-batch', source.widenBatch],
    ['exit-outputs', source.exitOutputs],
    ['taps', own ? placed.map(({ tap }) => tap) : []],
    ['head', own ? placed.map(({ head }) => head) : []],
    ...firstOptions(manifest),
    ...studentOptions(manifest),
    ...(inputs.length === 1 && preprocessing ? Object.entries(preprocessing) : []).filter(
      ([name, value]) =>
        (name !== 'channels' || value !== 'any') &&
        (name !== 'scale' || preprocessing!.rescale === undefined),
    ),
    ['skip-bad', source.skipBad],
    ['recipe', training && recipe],
    ['epochs', training?.epochs],
    ['batch', training?.batch],
    ['learning-rate', training?.learningRate],
    ['lambda', training && lambda !== RECIPE[recipe as RecipeName]?.lambda ? lambda : undefined],
    ['survivors', training?.survivors],
    ['views', training?.views],
    ['cache-limit', training?.cacheLimit ?? grownIn(manifest)[0]?.training?.cacheLimit],
    ['name', manifest.name],
    ['no-timing', manifest.latency === null || undefined],
    ['runtime', manifest.model?.runtime],
    ['policy', policyComparison ? 'auto' : policy],
    ['final', final ? 'ensembled' : 'original'],
    ['target', calibration.target],
    ['budget', budgets],
    ['min-accuracy', calibration.minAccuracies?.map(String)],
    ['max-accuracy-drop', calibration.maxAccuracyDrops.map(String)],
    ['confidence', calibration.confidence],
    ['thresholds', outputs.thresholds === null ? 'baked' : undefined],
    ['at', manifest.defaultPoint],
    ['provider', provider === 'cpu' ? undefined : provider],
    ['threads', threads ?? undefined],
    ['seed', seed],
    ['hf-config', source.labels === 'config' ? 'CONFIG' : undefined],
    ['labels', unlabelled ? 'none' : source.labels === 'given' ? 'NAMES' : undefined],
    ['tokenizer', tokenizer && 'TOKENIZER'],
    ...givenSplits(data, policyFit?.data).map((split): [string, string] => [split, split.toUpperCase()]),
  ];
  const words = options.flatMap(([name, value]) => formatOption(name, value));
  const file = manifest.networks?.at(-1)?.file ?? source.file;
  return commandLine(`npx onnx-offramp compile ${quotedPlace(file)}`, ...words, '--out out/');
}

/** What students were asked for, trained alike. */
function studentOptions(manifest: Manifest): (readonly [name: string, value: Value])[] {
  const students = grownIn(manifest);
  const [one] = students;
  // Where they differ nobody named one: shares alone say which.
  const family = students.every((student) => student.family === one!.family) ? one?.family : undefined;
  const { training } = one ?? {};
  return [
    ['student', students.map(({ share }) => share)],
    ['student-family', family],
    ['student-exits', one?.exits],
    ['student-loss', training?.exitLoss],
    ['student-epochs', training?.epochs],
    ['augment', training?.augment],
    ['teacher', training?.teacher],
    ['steps', training?.stoppedAt],
  ];
}

/** What was grown, smallest first, as it was asked for; of what was left out as well. */
const grownIn = ({ networks = [], leftOut = [] }: Manifest): Grown[] =>
  [...networks, ...leftOut].flatMap(({ grown }) => grown ?? []).sort((a, b) => a.share - b.share);

type Value = string | number | true | readonly (string | number)[] | undefined;

function formatOption(name: string, value: Value): string[] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return [];
  if (value === true) return [`--${name}`];
  const word = typeof value === 'object' ? value.map(listed).join(',') : String(value);
  // What begins with a dash would be taken for an option.
  return [word.startsWith('-') ? `--${name}=${quotedWord(word)}` : `--${name} ${quotedWord(word)}`];
}

/** A word of a list, as the command line reads it. */
const listed = (word: string | number) => String(word).replace(/[\\,]/g, '\\$&');

/** Roles that files were given for; the others were cut off these. */
export function givenSplits(data: Manifest['data'], policy: DataSummary | undefined): string[] {
  const { train, calibration, test } = data;
  const validation = data.validation ?? policy;
  const all = [train, validation, policy, calibration, test];
  const isCutOff = (split: string) => all.some((summary) => summary?.from?.endsWith(` of ${split}`));
  const isGiven = {
    train: train !== undefined || isCutOff('train'),
    validation: validation !== undefined && validation.from === undefined,
    calibration: calibration?.from === undefined || isCutOff('calibration'),
    test: test !== undefined && test.from === undefined,
  };
  return Object.entries(isGiven).flatMap(([split, given]) => (given ? [split] : []));
}

/** What a student looks like. */
const builtAs = ({ family, width, depth, share }: Grown): string =>
  `${family}, width ${width}, depth ${depth}, the largest of at most ${percent(share)} of the original’s MACs`;

/** What it takes to get the same bytes again: command, versions, hashes. */
export function reproduction(manifest: Manifest): Section {
  const { source, version, environment, sessionOptions, data, policyFit, training, networks = [] } = manifest;
  const hasStudents = grownIn(manifest).length > 0;
  const trained = hasStudents
    ? `trained the students${training ? ' and the heads' : ''}`
    : 'fitted the heads';
  const splits: [string, string, DataSummary | undefined][] = [
    ['train', trained, data.train],
    [
      'validation',
      training ? 'fitted confidence and temperatures' : 'followed the training',
      data.validation,
    ],
    ['validation', 'fitted the policy', policyFit?.data],
    ['calibration', 'chose thresholds', data.calibration],
    ['test', 'only reported', data.test],
  ];
  const rows: [string, string | Html][] = [
    [
      'Original',
      html`${source.file}, opset ${source.opset}${source.producer && `, ${source.producer}`}<br><code>sha256 ${source.sha256}</code>`,
    ],
    ...networks
      .slice(0, -1)
      .map((network): [string, Html] => [
        network.id,
        html`${network.file}${network.grown && `, grown: ${builtAs(network.grown)}`}${network.adapter && `, made to read the original’s inputs: ${network.adapter.join(', ')}`}<br><code>sha256 ${network.sha256}</code>`,
      ]),
    ...(manifest.leftOut ?? []).map(({ file, sha256, grown }): [string, Html] => [
      'Left out',
      html`${file}${grown && `, grown: ${builtAs(grown)}`}<br><code>sha256 ${sha256}</code>`,
    ]),
    ['Offramp', version],
    ['Ran on', `Node ${environment.node}, ONNX Runtime ${environment.onnxruntime}, ${environment.platform}`],
    [
      'Session',
      `provider ${sessionOptions.provider}, threads ${sessionOptions.threads ?? 'left to ONNX Runtime'}, optimization ${sessionOptions.optimization}`,
    ],
    ['Seed', String(manifest.seed)],
    [
      'Exits',
      html`${manifest.exits.map(({ id, tap, head }, k) =>
        head === 'end'
          ? html`${id}: ${answerAt(manifest, k)}<br>`
          : html`${manifest.networks ? exitName(manifest, k) : id}: <code>${tap}</code>, ${head}<br>`,
      )}`,
    ],
  ];
  const content = html`<p>The same file, data, options and machine give the same bytes, but for latencies. Names in capitals stand for the data of that split, which their hashes identify; splits cut off another are not given.${needsSettings(manifest) && ' How some networks in front were read takes a settings file, offramp.config.json (“first”): manifest.json says it.'}${manifest.leftOut?.some(({ grown }) => !grown) && ' Networks that were given and left out are not asked for: without them, manifest.json does not name them.'}</p>
${codeBlock('Command', 'Command to do it again', commandOf(manifest))}
${scrolling('What compiled it', html`<table><caption><span>What compiled it</span></caption><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td class="words">${value}</td></tr>`)}</tbody></table>`)}
${scrolling(
  'Data splits',
  html`<table><caption><span>Data splits</span></caption>
<thead><tr><th scope="col">Role</th><th scope="col" class="words">What for</th><th scope="col">Samples</th><th scope="col" class="words">Where from</th><th scope="col" class="words">Hash of the samples</th></tr></thead>
<tbody>${splits.flatMap(([split, use, summary]) =>
    summary
      ? [
          html`<tr><th scope="row">${split}</th><td class="words">${use}</td><td>${count(summary.samples)}</td><td class="words">${summary.from ?? 'given'}</td><td class="words"><code>${summary.hash}</code></td></tr>`,
        ]
      : [],
  )}</tbody></table>`,
)}
<p class="aside">Everything on this page is in manifest.json as data, but for histograms, reliability and examples.</p>`;
  return { id: 'again', title: 'To do it again', content };
}
