/** Small files in place of a user's: a model, and folders of images. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { prune } from '../src/graph/prune.ts';
import { floatTensor, toFloat32Array } from '../src/graph/tensor.ts';
import { serializeModel } from '../src/parser/index.ts';
import { tinyResidual } from './models.ts';
import { tinySamples } from './tiny-samples.ts';

/** What blocks 1 and 3 of the model add is a tenth of what it was: without them it answers much the same, and costs less. */
const LITTLE = ['block1.conv2', 'block3.conv2'].flatMap((name) => [`${name}.weight`, `${name}.bias`]);
const SKIPPED: Readonly<Record<string, string>> = { block1: 'stem', block3: 'block2' };

/** `small`: for a network in front, without those blocks. */
export function writeModel(path: string, small = false): void {
  const { graph, ...rest } = tinyResidual({ seed: 34 });
  const initializers = graph.initializers.map((tensor) =>
    LITTLE.includes(tensor.name)
      ? floatTensor(
          tensor.name,
          tensor.dims,
          toFloat32Array(tensor).map((v) => v / 10),
        )
      : tensor,
  );
  const nodes = graph.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((name) => (small ? (SKIPPED[name] ?? name) : name)),
  }));
  writeFileSync(path, serializeModel({ ...rest, graph: prune({ ...graph, initializers, nodes }) }));
}

/** Images of 8 by 8 pixels, a folder a class. */
export async function placeSamples(path: string, seed: number, count = 300): Promise<void> {
  const net = join(dirname(path), `${seed}.onnx`);
  mkdirSync(path, { recursive: true });
  writeModel(net);
  const { pixels, labels } = await tinySamples(net, count, seed);
  for (let label = 0; label < 5; label++) mkdirSync(join(path, `class ${label}`));
  for (const [i, label] of labels.entries()) {
    const raw = { width: 8, height: 8, channels: 3 } as const;
    const image = sharp(pixels.subarray(i * 192, (i + 1) * 192), { raw });
    await image.png().toFile(join(path, `class ${label}`, `${i}.png`));
  }
}
