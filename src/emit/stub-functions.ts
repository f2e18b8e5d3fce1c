/** The functions that the generated class calls, as text. */
import type { Manifest } from './manifest.ts';
import { quoted } from './names.ts';

export function helperFunctions(manifest: Manifest): string[] {
  const { inputs, outputs } = manifest;
  return [
    MODEL_FILE,
    TO_TENSOR,
    ...(inputs.length > 1 ? [CHECK_BATCH] : []),
    ...(outputs.thresholds === null ? [] : [thresholdsOf(manifest)]),
    DATA_OF,
    ...(outputs.dataType === 'float16' ? [FROM_FLOAT16] : []),
    RELATIVE_COSTS,
    INDEX_OF_LARGEST,
    PROBABILITY_OF[manifest.activation],
  ];
}

const MODEL_FILE = `\
/** model.onnx beside this module: a path in Node, a URL elsewhere. */
async function modelFile(): Promise<string> {
  const url = new URL('./model.onnx', import.meta.url);
  return url.protocol === 'file:' ? (await import('node:url')).fileURLToPath(url) : url.href;
}`;

const TO_TENSOR = `\
/** \`value\` as a tensor for the input \`name\`, its size checked. */
function toTensor(ort: Runtime, name: keyof typeof inputs, value: Ort.Tensor.DataType | Ort.Tensor): Ort.Tensor {
  const { type, dims }: { readonly type: Ort.Tensor.Type; readonly dims: readonly (number | 'N')[] } = inputs[name];
  const wanted = \`input "\${name}": \${type} [\${dims.join(', ')}]\`;
  if (!('length' in value)) {
    const fits = value.dims.length === dims.length && value.dims.every((d, i) => d === dims[i] || dims[i] === 'N');
    if (value.type === type && fits) return value;
    throw new RangeError(\`\${wanted} expected, got a \${value.type} tensor of [\${value.dims.join(', ')}]\`);
  }
  const sampleSize = dims.reduce<number>((size, d) => (d === 'N' ? size : size * d), 1);
  const batch = value.length / sampleSize;
  const whole = dims.includes('N') ? Number.isInteger(batch) && batch > 0 : batch === 1;
  if (!whole) {
    const lengths = dims.includes('N') ? \`a multiple of \${sampleSize}\` : String(sampleSize);
    throw new RangeError(\`\${wanted} takes \${lengths} elements, got \${value.length}\`);
  }
  return new ort.Tensor(type, value, dims.map((d) => (d === 'N' ? batch : d)));
}`;

const CHECK_BATCH = `\
/** Throws unless all inputs hold the same number of samples. */
function checkBatch(feeds: Readonly<Record<keyof typeof inputs, Ort.Tensor>>): void {
  const names = Object.keys(inputs) as (keyof typeof inputs)[];
  const sizes = names.map((name) => feeds[name].dims[(inputs[name].dims as readonly unknown[]).indexOf('N')]);
  if (new Set(sizes.filter((size) => size !== undefined)).size > 1) {
    throw new RangeError(\`the inputs hold different numbers of samples: \${names.join(', ')} have \${sizes.join(', ')}\`);
  }
}`;

const thresholdsOf = ({ exits, defaultPoint }: Manifest) => `\
/** The thresholds that \`options\` ask for, checked. */
function thresholdsOf({ at = ${quoted(defaultPoint)}, thresholds }: ClassifyOptions): Float32Array {
  if (thresholds === undefined) {
    if (Object.hasOwn(operatingPoints, at)) return Float32Array.from(operatingPoints[at].thresholds);
    throw new RangeError(\`no operating point "\${at}"; there are \${Object.keys(operatingPoints).join(', ')}\`);
  }
  if (thresholds.length !== ${exits.length} || thresholds.some(Number.isNaN)) {
    throw new RangeError(\`thresholds: ${exits.length === 1 ? '1 number' : `${exits.length} numbers, one an exit,`} expected, got [\${thresholds.join(', ')}]\`);
  }
  return Float32Array.from(thresholds);
}`;

const DATA_OF = `\
/** The data of the output \`name\`. */
function dataOf<T extends Ort.Tensor.Type>(
  outputs: Ort.InferenceSession.ReturnType,
  name: string,
  type: T,
): Ort.Tensor.DataTypeMap[T] {
  const output = outputs[name];
  if (output?.type !== type) throw new TypeError(\`output "\${name}": \${type} expected, got \${output?.type}\`);
  return output.data as Ort.Tensor.DataTypeMap[T];
}`;

const FROM_FLOAT16 = `\
/** float16 numbers, or their bits where the platform has no Float16Array. */
function fromFloat16(data: ArrayLike<number>): Float32Array {
  if (!(data instanceof Uint16Array)) return Float32Array.from(data);
  return Float32Array.from(data, (bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}`;

const RELATIVE_COSTS = `\
/** What a sample that leaves at each exit (the full path last) has cost under \`thresholds\`; a closed exit costs nothing. */
function relativeCosts(thresholds: ArrayLike<number>): number[] {
  let heads = 0;
  const early = exits.map(({ prefixMacs, headMacs }, k) => {
    if (thresholds[k]! < 1) heads += headMacs;
    return (prefixMacs + heads) / fullMacs;
  });
  return [...early, (fullMacs + heads) / fullMacs];
}`;

const INDEX_OF_LARGEST = `\
function indexOfLargest(scores: Float32Array): number {
  return scores.reduce((best, score, i) => (score > scores[best]! ? i : best), 0);
}`;

const PROBABILITY_OF = {
  none: `\
/** Softmax of the logits \`scores\` at \`index\`, the largest. */
function probabilityOf(scores: Float32Array, index: number): number {
  const largest = scores[index]!;
  return 1 / scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
}`,
  softmax: `\
function probabilityOf(scores: Float32Array, index: number): number {
  return scores[index]!;
}`,
  'log-softmax': `\
function probabilityOf(scores: Float32Array, index: number): number {
  return Math.exp(scores[index]!);
}`,
};
