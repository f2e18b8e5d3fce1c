/** Whether a model that was given a pipeline's inputs and outputs still answers as it did. */
import { emittedModelDiffers } from '../errors/index.ts';
import { Random } from '../graph/random.ts';
import { largestFinite, largestGap } from '../ort/gap.ts';
import { type Session, Tensor } from '../ort/session.ts';
import { floatsOf, tensorOf } from '../ort/tensors.ts';
import { LOGITS, type PipelineInput } from '../passes/for-pipelines.ts';
import type { Manifest } from './manifest.ts';

/** Relative to the largest score: memory layouts move floats by 1e-6 to 1e-5, and half floats by more. */
const TOLERANCE = { float: 1e-4, float16: 2 ** -7 } as const;

/** Runs `samples` samples of noise through both: same exits, and the same scores. Throws `emitted-model-differs`. */
export async function checkPipeline(
  pipeline: Session,
  baked: Session,
  samples: number,
  { outputs, activation }: Manifest,
  inputs: readonly PipelineInput[],
): Promise<void> {
  const random = new Random(1, 'noise');
  const own: Record<string, Tensor> = {};
  const theirs: Record<string, Tensor> = {};
  for (const { name, as, dataType, dims, channelsLast } of inputs) {
    const sizes = dims.slice(1).map((size) => (typeof size === 'number' ? size : 8));
    const isText = sizes.length === 1;
    const count = samples * sizes.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => (isText ? 1 : random.uniform()));
    theirs[name] = tensorOf(dataType, channelsLast ? channelsToEnd(values, sizes) : values, [
      samples,
      ...sizes,
    ]);
    const fed = channelsLast ? [sizes[2]!, sizes[0]!, sizes[1]!] : sizes;
    own[as] = isText
      ? tensorOf('int64', values, [samples, ...fed])
      : new Tensor('float32', values, [samples, ...fed]);
  }
  const found = await pipeline.run(own, [LOGITS, outputs.exitIndex]);
  const expected = await baked.run(theirs, [outputs.scores, outputs.exitIndex]);
  const exits = (tensor: { readonly data: unknown }) => Array.from(tensor.data as BigInt64Array, Number);
  if (`${exits(found[outputs.exitIndex]!)}` !== `${exits(expected[outputs.exitIndex]!)}`)
    throw emittedModelDiffers("with a pipeline's inputs, noise leaves at other exits");
  const scores = floatsOf(expected[outputs.scores]!);
  const logits = floatsOf(found[LOGITS]!);
  // Of a probability near 0 the logarithm may be anything.
  const answers = activation === 'softmax' ? logits.map(Math.exp) : logits;
  const allowed = TOLERANCE[outputs.dataType ?? 'float'] * Math.max(1, largestFinite(scores));
  if (largestGap(answers, scores) > allowed)
    throw emittedModelDiffers("with a pipeline's inputs, its scores are others");
}

/** [N, C, H, W] → [N, H, W, C]; `sizes` is [H, W, C]. */
function channelsToEnd(values: Float32Array, [height, width, channels]: readonly number[]): Float32Array {
  const area = height! * width!;
  const size = area * channels!;
  return values.map((_, i) => {
    const [n, pixel, c] = [Math.floor(i / size), Math.floor((i % size) / channels!), i % channels!];
    return values[n * size + c * area + pixel]!;
  });
}
