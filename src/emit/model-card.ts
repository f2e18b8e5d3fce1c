/**
 * What a README says to the Hugging Face hub, as YAML in front of it
 * (https://github.com/huggingface/hub-docs/blob/main/modelcard.md?plain=1): what the model is for, and what was measured.
 */
import { isNamed } from '../calibrate/index.ts';
import type { Manifest } from './manifest.ts';
import { onOneLine } from './names.ts';
import { pictureInput } from './stub-pictures.ts';
import { printYaml } from './yaml.ts';

/** The front matter, its two lines of dashes included. */
export function printFrontMatter(manifest: Manifest, name: string): string {
  const task = taskOf(manifest);
  const results = resultsOf(manifest, task ?? OTHER_TASK);
  const card = {
    library_name: 'onnx',
    ...(task && { pipeline_tag: task }),
    tags: ['onnx', 'early-exit', 'onnx-offramp'],
    ...(results && { 'model-index': [{ name: onOneLine(name), results: [results] }] }),
  };
  return `---\n${printYaml(card)}---\n`;
}

/** What the hub calls a task that it has no name for; results must have one. */
const OTHER_TASK = 'other';

function taskOf(manifest: Manifest): string | undefined {
  if (manifest.tokenizer) return 'text-classification';
  return pictureInput(manifest) ? 'image-classification' : undefined;
}

/** Shares and relative costs of the points that have a name of their own. Undefined where samples were random: those figures mean nothing. */
function resultsOf(manifest: Manifest, task: string) {
  const { measuredOn, data, operatingPoints, outputs, defaultPoint } = manifest;
  const measured = data[measuredOn];
  if (measured?.random) return undefined;
  const isLabelled = measured?.labels !== 'original';
  const shown = operatingPoints.filter(({ name }) =>
    outputs.thresholds === null ? name === defaultPoint : isNamed(name),
  );
  return {
    task: { type: task },
    // The hub wants the id of one of its data sets here; files on a disk have none.
    dataset: { type: 'unknown', name: dataName(manifest), split: measuredOn },
    metrics: shown.flatMap((point) => {
      const metric = (type: string, what: string, value: number) => ({
        type,
        value,
        name: `${what} at ${onOneLine(point.name)}`,
      });
      return [
        ...(isLabelled ? [metric('accuracy', 'accuracy', point.accuracy)] : []),
        metric('agreement', 'agreement with the original', point.agreement),
        metric('relative_cost', 'cost relative to the original', point.relativeCost),
      ];
    }),
  };
}

/** Paths are not in a manifest, so the data go by number and hash. */
function dataName({ measuredOn, data }: Manifest): string {
  const measured = data[measuredOn];
  if (!measured) return `${measuredOn} data`;
  return `${measuredOn} data, ${measured.samples} samples, hash ${onOneLine(measured.hash.slice(0, 12))}`;
}
