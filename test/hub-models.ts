/** Folders in the layout of Optimum and transformers.js, with real config files of that style. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** As transformers 4 writes it for a ViT that was fine-tuned on pictures of `size` x `size`. */
export const vitProcessor = (size: number) => ({
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_processor_type: 'ViTImageProcessor',
  image_std: [0.5, 0.5, 0.5],
  resample: 2,
  rescale_factor: 0.00392156862745098,
  size: { height: size, width: size },
});

/** ConvNeXt's, which ResNets of the hub have too. */
export const convNextProcessor = (size: number) => ({
  crop_pct: 0.875,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.485, 0.456, 0.406],
  image_processor_type: 'ConvNextImageProcessor',
  image_std: [0.229, 0.224, 0.225],
  resample: 3,
  rescale_factor: 0.00392156862745098,
  size: { shortest_edge: size },
});

/** MobileNet's: a larger picture, of which the centre is cut. */
export const mobileNetProcessor = (shortest: number, size: number) => ({
  crop_size: { height: size, width: size },
  do_center_crop: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_processor_type: 'MobileNetV2ImageProcessor',
  image_std: [0.5, 0.5, 0.5],
  resample: 2,
  rescale_factor: 0.00392156862745098,
  size: { shortest_edge: shortest },
});

/** `config.json` of a classifier with `names`. */
export const classifierConfig = (model_type: string, names: readonly string[], more: object = {}) => ({
  architectures: [`${model_type}ForImageClassification`],
  id2label: Object.fromEntries(names.map((name, i) => [i, name])),
  label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  model_type,
  problem_type: 'single_label_classification',
  ...more,
});

/** Writes `files`, by their paths in `folder`: objects as JSON. */
export function writeFiles(
  folder: string,
  files: Readonly<Record<string, object | Uint8Array | string>>,
): string {
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    const isRaw = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(file, isRaw ? content : JSON.stringify(content, null, 2));
  }
  return folder;
}
