/** Compiled, never run: what the types of a generated stub allow, and what they refuse. */
import * as ort from 'onnxruntime-node';
import * as baked from '../../golden/stub-baked/index.ts';
import * as pets from '../../golden/stub-image-labels/index.ts';
import * as several from '../../golden/stub-several-inputs/index.ts';

export async function use(): Promise<void> {
  const model: pets.Pets = await pets.Pets.load(ort);
  await pets.Pets.load(ort, { path: 'model.onnx', sessionOptions: { intraOpNumThreads: 1 } });
  await pets.Pets.load(ort, { bytes: new Uint8Array() });

  const [result] = await model.classify(new Float32Array(12), { at: 'fast' });
  const label: 'cat' | 'dog' | "cow's calf" | undefined = result?.label;
  const exit: 'exit_1' | 'exit_2' | 'full' | undefined = result?.exitId;
  await model.classify(new ort.Tensor('float32', new Float32Array(12), [1, 3, 2, 2]));
  await model.classify(pets.preprocess(new Uint8Array(16), 4), { thresholds: [0.5, 1] });
  const names: pets.OperatingPointName[] = ['fast', 'balanced', 'exact'];
  const cost: number = model.operatingPoints.fast.relativeCost;
  await model.release();

  // @ts-expect-error no such operating point
  await model.classify(new Float32Array(12), { at: 'quick' });
  // @ts-expect-error one or the other
  await model.classify(new Float32Array(12), { at: 'fast', thresholds: [0.5, 0.5] });
  // @ts-expect-error wrong element type
  await model.classify(new Float64Array(12));
  // @ts-expect-error the constructor is private
  new pets.Pets(ort, undefined);
  // @ts-expect-error two channels mean nothing
  pets.preprocess(new Uint8Array(8), 2);

  const fixed = await baked.Pets.load(ort);
  await fixed.classify(new Float32Array(24));
  // @ts-expect-error thresholds are baked in
  await fixed.classify(new Float32Array(24), { at: 'balanced' });

  const text = await several.ABSModel.load(ort);
  await text.classify({
    input_ids: new BigInt64Array(16),
    "attention'mask": new Uint8Array(16),
    ['__proto__']: new Uint16Array(4),
  });
  // @ts-expect-error inputs are missing
  await text.classify({ input_ids: new BigInt64Array(16) });

  console.log(label, exit, names, cost);
}
