/** A compiled model as a folder that the pipelines of transformers.js run as they are, and so does whatever else reads the layout of Optimum. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { pointNamed } from '../calibrate/index.ts';
import { isFile } from '../data/files.ts';
import type { InputSpec } from '../data/index.ts';
import { isEncoded, readTokenizerFile } from '../data/tokenizer.ts';
import { checkPipeline } from '../emit/check-pipeline.ts';
import { TOKENIZER_FILE } from '../emit/file-names.ts';
import type { Manifest } from '../emit/manifest.ts';
import { readPackage } from '../emit/read-package.ts';
import { pictureInputOf } from '../emit/stub-pictures.ts';
import { type Content, checkApart, checkOutput, writeOutput } from '../emit/write.ts';
import { asBadTokenizer, notForPipelines, optionText, outputUnusable } from '../errors/index.ts';
import {
  configJson,
  type PipelineTask,
  preprocessorJson,
  tokenizerConfigJson,
} from '../export/pipeline-files.ts';
import type { Model } from '../graph/types.ts';
import { type ConfigFiles, findConfigs } from '../hub/folder.ts';
import { type Config, readConfig } from '../hub/json.ts';
import { sourceHashOf } from '../model/inspect.ts';
import { type DataFiles, openDataFolder } from '../networks/data-folder.ts';
import { withSession } from '../ort/session.ts';
import { loadModel, parseModel, serializeModel } from '../parser/index.ts';
import { forPipelines, type PipelineInput } from '../passes/for-pipelines.ts';
import { runPasses } from '../passes/pass.ts';
import { type BakeOptions, bake, filesReadBy } from './bake.ts';
import type { HubModelOptions } from './hub-model.ts';
import { checkCall } from './options.ts';

export interface ExportTransformersOptions extends BakeOptions, Pick<HubModelOptions, 'hfConfig'> {
  /** The folder to write. */
  readonly out: string;
  /** Replace what Offramp wrote there. */
  readonly force?: boolean;
}

export interface ExportedTransformers {
  readonly folder: string;
  readonly task: PipelineTask;
  readonly at: string;
  /** Paths in the folder. */
  readonly files: readonly string[];
}

/**
 * Writes `onnx/model.onnx`, with the thresholds of one operating point built in, `pixel_values` or `input_ids` in and `logits` out, and the config
 * files beside it: those of the original's folder where `model` or `hfConfig` names it and they say what the package does, else such as the
 * package gives. Throws `not-for-pipelines`, `not-a-package`, `unknown-operating-point`, `bad-option`, `bad-model-config`, `output-not-empty`,
 * `output-failed`, and what `bake` throws.
 */
export async function exportTransformers(options: ExportTransformersOptions): Promise<ExportedTransformers> {
  checkCall('export transformers', options);
  const { folder, out } = options;
  const manifest = await readPackage(folder);
  const point = pointNamed(manifest.operatingPoints, options.at ?? manifest.defaultPoint);
  await checkOutput(out, options);
  if (options.force) await refuseForeign(out);
  const task = taskOf(manifest);
  const configs = await configsOf(options);
  await checkApart(out, [...(await filesReadBy(manifest, options)), ...Object.values(configs)]);
  const tokenizer = await tokenizerOf(manifest, folder, configs);
  const inputs = pipelineInputs(manifest, tokenizer);

  const { bytes, files } = await bake(manifest, point, options);
  const model = asPipelineModel(parseModel(bytes), manifest, inputs);
  const written = new Map<string, Content>([
    ['onnx/model.onnx', serializeModel(model)],
    ...Array.from(files, ([location, content]): [string, Content] => [`onnx/${location}`, content]),
    [
      'config.json',
      json(configJson(manifest, task, configs.config === undefined ? {} : await readConfig(configs.config))),
    ],
    ...(task === 'image-classification'
      ? [await pictureFile(manifest, configs)]
      : await textFiles(manifest, folder, tokenizer, configs)),
  ]);
  await verify(manifest, bytes, model, files, inputs);
  await writeOutput(out, written, options);
  return { folder: out, task, at: point.name, files: [...written.keys()].sort() };
}

/** Throws `output-unusable` where `out` holds a model, or what goes with one, that Offramp did not write. */
async function refuseForeign(out: string): Promise<void> {
  const model = join(out, 'onnx/model.onnx');
  const isOurs = async () => sourceHashOf((await loadModel(model)).model) !== undefined;
  const holds = [model, join(out, 'config.json')].some(isFile);
  if (holds && !(isFile(model) && (await isOurs().catch(() => false))))
    throw outputUnusable(out, 'it holds a model that Offramp did not write');
}

/** Throws `emitted-model-differs` where `model` does not answer as `baked` does. */
async function verify(
  manifest: Manifest,
  baked: Uint8Array,
  model: Model,
  files: DataFiles,
  inputs: readonly PipelineInput[],
): Promise<void> {
  const data = await openDataFolder(files, defaultCache());
  const session = { threads: 1, externalDataFolder: data.folder };
  const samples = manifest.batch === 'fixed' ? 1 : 3;
  await withSession(baked, session, (original) =>
    withSession(serializeModel(model), session, (pipeline) =>
      checkPipeline(pipeline, original, samples, manifest, inputs),
    ),
  ).finally(() => data.close());
}

const json = (config: Config): string => `${JSON.stringify(config, null, 2)}\n`;

function taskOf(manifest: Manifest): PipelineTask {
  const names = manifest.inputs.map(({ name }) => name);
  if (names.every(isEncoded)) return 'text-classification';
  if (manifest.inputs.length === 1 && pictureInputOf(manifest)) return 'image-classification';
  throw notForPipelines(
    `pipelines feed pictures or texts, and this model takes ${names.join(', ')}`,
    'Use the package itself, or `npx onnx-offramp export onnx`.',
  );
}

/** Config files of the original, where options say where they are. */
async function configsOf({ model, hfConfig }: ExportTransformersOptions): Promise<ConfigFiles> {
  return await findConfigs({ model, hfConfig });
}

/** What the tokenizer's file holds: the package's, else that of the config files. Of a package for pictures nothing. */
async function tokenizerOf(
  manifest: Manifest,
  folder: string,
  { tokenizer }: ConfigFiles,
): Promise<Config | undefined> {
  if (manifest.tokenizer) return await readConfig(join(folder, TOKENIZER_FILE));
  if (tokenizer === undefined || !manifest.inputs.every(({ name }) => isEncoded(name))) return undefined;
  try {
    return JSON.parse((await readTokenizerFile(tokenizer)).toString()) as Config;
  } catch (error) {
    throw asBadTokenizer(tokenizer, error);
  }
}

/** What pipelines feed for each input of the model. */
function pipelineInputs(manifest: Manifest, tokenizer: Config | undefined): PipelineInput[] {
  return manifest.inputs.map(({ name, dataType, dims }) => {
    const axes = dims.map((size) => (size === 'N' ? 'batch_size' : size));
    if (!isEncoded(name))
      return {
        name,
        dataType,
        dims: axes,
        as: 'pixel_values',
        channelsLast: manifest.preprocessing?.layout === 'NHWC',
      };
    // Also where the original takes texts of any length: heads average over all tokens, padding among them, and learned it so.
    const { padding } = (tokenizer ?? {}) as {
      readonly padding?: { pad_id?: number; pad_type_id?: number; direction?: string } | null;
    };
    const values = {
      input_ids: padding?.pad_id,
      attention_mask: 0,
      token_type_ids: padding?.pad_type_id,
    };
    const value = values[name] ?? 0;
    const side = padding?.direction === 'Left' ? 'left' : 'right';
    return { name, dataType, dims: axes, as: name, padding: { value, side, length: dims.at(-1) as number } };
  });
}

function asPipelineModel(model: Model, manifest: Manifest, inputs: readonly PipelineInput[]): Model {
  const { scores, exitIndex, exitConfidence, dataType = 'float' } = manifest.outputs;
  const { activation } = manifest;
  if (!['none', 'softmax', 'log-softmax'].includes(activation))
    throw notForPipelines(
      `pipelines make probabilities by a softmax, and the scores of this model go through ${activation}`,
      'Use the package itself, or `npx onnx-offramp export onnx`.',
    );
  const pass = forPipelines({
    inputs,
    scores,
    scoresType: dataType,
    areProbabilities: activation === 'softmax',
    others: [exitIndex, exitConfidence],
  });
  return { ...model, graph: runPasses(model.graph, [pass]) };
}

async function pictureFile(manifest: Manifest, { preprocessor }: ConfigFiles): Promise<[string, Content]> {
  const [{ name, dataType, dims }] = manifest.inputs as [Manifest['inputs'][number]];
  const input: InputSpec = { name, dataType, dims: dims.slice(1) as number[] };
  const kept =
    preprocessor === undefined ? undefined : { config: await readConfig(preprocessor), file: preprocessor };
  return ['preprocessor_config.json', json(preprocessorJson(manifest, input, kept))];
}

/** tokenizer.json and what lies beside it, by which pipelines cut texts where the package does. `own`: what the tokenizer's file holds. */
async function textFiles(
  manifest: Manifest,
  folder: string,
  own: Config | undefined,
  { tokenizer }: ConfigFiles,
): Promise<[string, Content][]> {
  if (!own)
    throw notForPipelines(
      'the package has no tokenizer, since its data were not texts',
      `Name it: ${optionText('hfConfig', 'tokenizer.json')}.`,
    );
  const file = tokenizer ?? join(folder, TOKENIZER_FILE);
  const beside = (name: string) => join(dirname(file), name);
  const [config, special] = [beside('tokenizer_config.json'), beside('special_tokens_map.json')];
  const length = manifest.inputs[0]!.dims.at(-1) as number;
  const kept = tokenizer !== undefined && isFile(config) ? await readConfig(config) : undefined;
  return [
    [TOKENIZER_FILE, await readFile(file)],
    ['tokenizer_config.json', json(tokenizerConfigJson(own, length, kept))],
    ...(tokenizer !== undefined && isFile(special)
      ? [['special_tokens_map.json', await readFile(special)] as [string, Content]]
      : []),
  ];
}
