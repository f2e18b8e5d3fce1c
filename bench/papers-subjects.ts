/** Originals of papers.ts, each with its data. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { uniforms } from '../src/graph/random.ts';
import { npy } from '../test/data/fixtures.ts';
import { cifar10, RESNET56, type Spec, type StudentPlaces, VGG } from './students-data.ts';

export interface PaperPlaces extends StudentPlaces {
  /** Folder with ag_news/ and sst2/: splits as .jsonl, and encoder_strong.onnx. */
  readonly texts: string;
  /** Folder of MNIST's four IDX files. */
  readonly mnist: string;
}

export interface Row extends Omit<Spec, 'seed'> {
  readonly title: string;
  /** What there is to say about it. */
  readonly text?: string;
  /** Average costs below those of every row. */
  readonly cheaper?: readonly number[];
}

/** Of `compile`: heads where nothing is said, and epochs of a student at medium effort. */
const HEADS = 3;
const MEDIUM = { effort: 'medium' } as const;

/** By name. */
export function rowsIn(places: PaperPlaces): Readonly<Record<string, Row>> {
  const model = (file: string) => join(places.models, `${file}.onnx`);
  const text = (set: string, title: string): Row => {
    const split = (name: string) => join(places.texts, set, `${name}.jsonl`);
    const data = { train: split('train'), calibration: split('calibration'), test: split('test') };
    const options = { model: join(places.texts, set, 'encoder_strong.onnx'), ...data };
    return {
      title,
      subject: { name: set, options: () => options },
      growth: { ...MEDIUM, student: [0.05] },
      heads: HEADS,
      cheaper: [0.05, 0.1],
      text: 'Students of texts are not grown unless they are asked for: `--student 0.05`.',
    };
  };
  return {
    resnet20: {
      title: 'ResNet-20, CIFAR-10',
      subject: cifar10('resnet20', { preset: 'imagenet' }),
      growth: MEDIUM,
      heads: HEADS,
    },
    resnet56: {
      title: 'ResNet-56, CIFAR-10',
      subject: RESNET56,
      growth: MEDIUM,
      heads: HEADS,
      text: 'At high effort (two students), and three seeds of medium effort: bench/students.md.',
    },
    densenet40: {
      title: 'DenseNet-40, CIFAR-10',
      subject: cifar10('densenet40', { preset: 'none' }),
      growth: MEDIUM,
      heads: HEADS,
      headsPart: 0.25,
      text: 'Features of its maps take 1.1 MB a picture: heads learned from a quarter of the training pictures, the student from all.',
    },
    vgg: {
      title: 'A VGG-like network of eight convolutions, CIFAR-10',
      subject: VGG,
      growth: MEDIUM,
      heads: HEADS,
    },
    vit: {
      title: 'A vision transformer of three layers, CIFAR-10',
      subject: cifar10('vit_ibp_3_3_8', { preset: 'cifar10', std: [0.2023, 0.1994, 0.201] }),
      growth: { ...MEDIUM, student: [0.25] },
      heads: HEADS,
      text: 'Of 1.2 M MACs, which is too few for a student by default: `--student 0.25`, of the family `patches`.',
    },
    mnist: {
      title: 'A convolutional network, MNIST',
      subject: {
        name: 'burn_mnist',
        options: () => ({
          model: model('burn_mnist'),
          preset: 'mnist',
          train: join(places.mnist, 'train-images-idx3-ubyte.gz'),
          calibration: join(places.mnist, 't10k-images-idx3-ubyte.gz'),
        }),
      },
      growth: { ...MEDIUM, student: [0.1], studentFamily: 'patches' },
      heads: 2,
      text: 'Of 2.8 M MACs, which is too few for a student by default: `--student 0.1 --student-family patches`. Halves of the 10,000 test pictures.',
    },
    ag_news: text('ag_news', 'A BERT-like encoder, AG News'),
    sst2: text('sst2', 'A BERT-like encoder, SST-2'),
    keywords: {
      title: 'Keyword spotting (MLPerf Tiny), drawn data',
      subject: {
        name: 'micro_kws',
        options: () => ({
          model: model('micro_kws_m_static_fp32'),
          widenBatch: true,
          labels: 'none',
          ...drawnSpectrograms(places.keep),
        }),
      },
      growth: { ...MEDIUM, student: [0.1] },
      heads: 1,
      text: 'Nothing was recorded: spectrograms are sums of drawn blobs, and right is what the original says, so that points lost are disagreement.',
    },
  };
}

const FRAMES = 49;
const BANDS = 40;
const DRAWN = { train: 12_000, calibration: 3000, test: 3000 };

/** Some blobs on 49 frames of 40 bands, each louder or softer, and noise. */
function drawnSpectrograms(folder: string): Readonly<Record<keyof typeof DRAWN, string>> {
  mkdirSync(folder, { recursive: true });
  const files = Object.entries(DRAWN).map(([split, count], seed) => {
    const file = join(folder, `spectrograms-${split}.npz`);
    if (existsSync(file)) return [split, file];
    const next = uniforms(seed + 1);
    const x = new Float32Array(count * FRAMES * BANDS);
    for (let i = 0; i < count; i++) draw(x.subarray(i * FRAMES * BANDS, (i + 1) * FRAMES * BANDS), next);
    writeFileSync(file, zipSync({ 'x.npy': npy('<f4', [count, FRAMES * BANDS], x) }, { level: 0 }));
    return [split, file];
  });
  return Object.fromEntries(files) as Record<keyof typeof DRAWN, string>;
}

function draw(x: Float32Array, next: () => number): void {
  const level = 60 * next();
  for (let i = 0; i < x.length; i++) x[i] = level * next();
  for (let blobs = 1 + Math.floor(5 * next()); blobs > 0; blobs--) {
    const [frame, band] = [FRAMES * next(), BANDS * next()];
    const [long, wide] = [2 + 12 * next(), 1 + 8 * next()];
    const loud = 200 * (next() - 0.3);
    for (let t = 0; t < FRAMES; t++)
      for (let f = 0; f < BANDS; f++)
        x[t * BANDS + f]! += loud * Math.exp(-(((t - frame) / long) ** 2) - ((f - band) / wide) ** 2);
  }
}
