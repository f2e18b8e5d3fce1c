/** How an operating point is used: in code, and built into a model. */
import type { Manifest } from '../emit/manifest.ts';
import { quoted } from '../emit/names.ts';
import { pictureInput } from '../emit/stub-pictures.ts';
import type { PointFacts, ReportFacts } from './facts.ts';
import { codeBlock, Html, html } from './html.ts';
import { givenSplits } from './reproduction.ts';
import { commandLine, quotedPlace, quotedWord } from './shell.ts';

/** For each named point what to write, folded but for the chosen one. */
export function usePoints({ manifest, points, chosen }: ReportFacts): Html {
  const baked = manifest.outputs.thresholds === null;
  const { name } = chosen;
  return html`<h3>Use a point</h3>
<p>${baked ? html`The thresholds of <strong>${name}</strong> are built in; another point needs a package of its own.` : html`Each call says which point it takes; <strong>${name}</strong> is the one where it says nothing.`} <code>model</code> is what the package’s README.md loads. Commands are for the folder that has this report’s folder, <code>out/</code>, and the original.</p>
${points
  .filter((point) => point.named)
  .map(
    (point) =>
      html`<details class="use"${point === chosen && OPEN}><summary>Use <strong>${point.name}</strong></summary>
${(!baked || point === chosen) && codeBlock('TypeScript', `TypeScript for ${point.name}`, callOf(manifest, point))}
${baked && point !== chosen && codeBlock('A package with it built in', `Package of ${point.name}`, packageOf(manifest, point))}
${codeBlock('One file with it built in, for any ONNX Runtime', `File of ${point.name}`, exportOf(manifest, point, 'onnx'))}
${codeBlock('A model with it built in, for Triton', `Model of ${point.name} for Triton`, exportOf(manifest, point, 'triton'))}</details>`,
  )}`;
}

const OPEN = new Html(' open');

/** A call of the package at `point`. */
export function callOf(manifest: Manifest, { name }: Pick<PointFacts, 'name'>): string {
  const input = pictureInput(manifest) && manifest.inputs.length === 1 ? 'picture' : 'input';
  const at = manifest.outputs.thresholds === null ? '' : `, { at: ${quoted(name)} }`;
  return `const [answer] = await model.classify(${input}${at});`;
}

/** The command that writes a model with the thresholds of `point`. */
export function exportOf(
  manifest: Manifest,
  { name }: Pick<PointFacts, 'name'>,
  target: 'onnx' | 'triton',
): string {
  const isBuiltIn = manifest.outputs.thresholds === null && name === manifest.defaultPoint;
  return commandLine(
    `npx onnx-offramp export ${target} out/ ${target === 'triton' ? 'models/' : quotedWord(`${name}.onnx`)}`,
    ...(isBuiltIn ? [] : originalOf(manifest)),
    `--at ${quotedWord(name)}`,
  );
}

/** The command that writes the package again with the thresholds of `point` built in. */
export function packageOf(manifest: Manifest, { name }: Pick<PointFacts, 'name'>): string {
  const { data, policyFit } = manifest;
  const cut = [data.calibration, data.test, policyFit?.data].some((split) => split?.from?.endsWith('train'));
  const splits = givenSplits(data, policyFit?.data).filter((split) => split !== 'train' || cut);
  return commandLine(
    'npx onnx-offramp calibrate out/',
    ...originalOf(manifest),
    ...splits.map((split) => `--${split} ${split.toUpperCase()}`),
    `--thresholds baked --at ${quotedWord(name)}`,
    `--out ${quotedWord(`out-${name}/`)}`,
  );
}

/** Where the original is; networks in front of it are found beside it. */
const originalOf = ({ source, networks }: Manifest): string[] => [
  `--model ${quotedPlace(networks?.at(-1)?.file ?? source.file)}`,
  ...(source.externalDataFolder ? ['--external-data-folder FOLDER'] : []),
];
