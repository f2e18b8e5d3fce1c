/** Real classifiers as folders of the hub's layout: with the inputs, outputs and open dimensions that Optimum gives them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeNode } from '../../src/graph/builder.ts';
import { renameValues } from '../../src/graph/rename.ts';
import { int64Tensor } from '../../src/graph/tensor.ts';
import type { Graph, Model } from '../../src/graph/types.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { classifierConfig, convNextProcessor, vitProcessor, writeFiles } from '../hub-models.ts';
import { sharedData } from '../shared.ts';

const CIFAR = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

/** `graph` with its only output called logits, its inputs called `inputs`, and their dimensions left open under `dims`. */
function asExported(graph: Graph, inputs: readonly string[], dims: readonly string[]): Graph {
  const given = new Set(graph.initializers.map(({ name }) => name));
  const own = graph.inputs.filter(({ name }) => !given.has(name));
  const names = new Map([
    ...own.map(({ name }, i) => [name, inputs[i]!] as const),
    [graph.outputs[0]!.name, 'logits'] as const,
  ]);
  const renamed = renameValues(graph, names);
  return {
    ...renamed,
    valueInfo: [],
    inputs: renamed.inputs.map((value) =>
      inputs.includes(value.name) ? { ...value, type: { ...value.type!, dims } } : value,
    ),
  };
}

const read = (...path: string[]): Model => parseModel(readFileSync(sharedData(...path)));
const PICTURE = ['batch_size', 'num_channels', 'height', 'width'];

export function writeResnet(folder: string): string {
  const model = read('models', 'resnet20.onnx');
  return writeFiles(folder, {
    'config.json': classifierConfig('resnet', CIFAR, { num_channels: 3 }),
    'preprocessor_config.json': convNextProcessor(32),
    'onnx/model.onnx': serializeModel({
      ...model,
      graph: asExported(model.graph, ['pixel_values'], PICTURE),
    }),
  });
}

export function writeVit(folder: string): string {
  const model = read('models', 'vit_ibp_3_3_8.onnx');
  return writeFiles(folder, {
    'config.json': classifierConfig('vit', CIFAR, { image_size: 32, num_channels: 3 }),
    'preprocessor_config.json': {
      ...vitProcessor(32),
      image_mean: [0.4914, 0.4822, 0.4465],
      image_std: [0.2023, 0.1994, 0.201],
    },
    'onnx/model.onnx': serializeModel({
      ...model,
      graph: asExported(model.graph, ['pixel_values'], PICTURE),
    }),
  });
}

/** The encoder of AG News, made to take texts of any length: its positions are cut to that of the text. */
export function writeEncoder(folder: string): string {
  const model = read('text', 'ag_news', 'encoder.onnx');
  const graph = asExported(model.graph, ['input_ids', 'attention_mask'], ['batch_size', 'sequence_length']);
  const positions = graph.initializers.find(({ dims }) => `${dims}` === '64,128')!;
  const cut = [
    makeNode('Shape', ['input_ids'], ['text_shape']),
    makeNode('Slice', ['text_shape', 'index_1', 'index_2'], ['text_length']),
    makeNode('Slice', [positions.name, 'index_0', 'text_length', 'index_0'], ['positions']),
  ];
  const nodes = renameValues({ ...graph, initializers: [] }, new Map([[positions.name, 'positions']])).nodes;
  const open: Graph = {
    ...graph,
    nodes: [...cut, ...nodes],
    initializers: [...graph.initializers, ...[0, 1, 2].map((i) => int64Tensor(`index_${i}`, [1], [i]))],
  };
  const names = JSON.parse(readFileSync(sharedData('text', 'ag_news', 'labels.json'), 'utf8')) as string[];
  return writeFiles(folder, {
    'config.json': { ...classifierConfig('bert', names), max_position_embeddings: 64 },
    'tokenizer.json': readFileSync(sharedData('text', 'ag_news', 'tokenizer.json')),
    'tokenizer_config.json': {
      ...{ tokenizer_class: 'BertTokenizer', model_max_length: 64, padding_side: 'right' },
      ...{ pad_token: '[PAD]', unk_token: '[UNK]', cls_token: '[CLS]' },
    },
    'onnx/model.onnx': serializeModel({ ...model, graph: open }),
  });
}

/** Rows of `split` with text and label alone, `count` of them. */
export function writeTexts(
  file: string,
  split: string,
  count: number,
): readonly { text: string; label: number }[] {
  const lines = readFileSync(sharedData('text', 'ag_news', `${split}.jsonl`), 'utf8')
    .split('\n')
    .slice(0, count);
  const rows = lines.map((line) => {
    const { text, label } = JSON.parse(line) as { text: string; label: number };
    return { text, label };
  });
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return rows;
}

/** Folders of pictures: of each class the first `counts[split]`, one after another, enlarged to 40 x 48 so that something is to be resized. */
export async function writeCifar(
  folder: string,
  archive: string,
  counts: Readonly<Record<string, number>>,
): Promise<void> {
  const { default: sharp } = await import('sharp');
  for (const name of CIFAR) {
    const files = readdirSync(join(archive, name)).sort();
    let next = 0;
    for (const [split, count] of Object.entries(counts)) {
      mkdirSync(join(folder, split, name), { recursive: true });
      for (const file of files.slice(next, next + count))
        await sharp(join(archive, name, file))
          .resize(48, 40, { fit: 'fill' })
          .png()
          .toFile(join(folder, split, name, file.replace(/\.webp$/, '.png')));
      next += count;
    }
  }
}
