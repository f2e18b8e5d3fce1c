/** The outermost fields of a file, or why it is no ONNX model. */
import { notAnOnnxFile, truncatedFile } from '../errors/index.ts';
import { MODEL_FIELDS } from './schema.ts';
import { type Field, readFields, WireError } from './wire.ts';

/** Cuts a ModelProto into fields; distinguishes a truncated model from a file of another kind. */
export function readModelFields(bytes: Uint8Array): Field[] {
  if (bytes.byteLength === 0) throw notAnOnnxFile('it is empty');
  const foreign = foreignFormat(bytes);
  if (foreign) throw notAnOnnxFile(`it is ${foreign.what}`, foreign.hint);
  try {
    return readFields(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    const known = [...error.before, error].every((f) => MODEL_FIELDS[f.number] === f.wire);
    throw known && error.reason === 'truncated' ? truncatedFile() : notAnOnnxFile(error.message);
  }
}

interface Foreign {
  readonly what: string;
  readonly hint: string;
}

/** What Git has in place of a large file that was not fetched. */
export const LFS_POINTER = 'version https://git-lfs';

const EXPORT = 'Export the model to ONNX first.';

/** Files that are often given instead of ONNX models, by their first bytes. */
const SIGNATURES: readonly (readonly [at: number, signature: string, foreign: Foreign])[] = [
  [0, LFS_POINTER, { what: 'a Git LFS pointer', hint: 'Fetch the file itself: `git lfs pull`.' }],
  [4, 'ORTM', { what: 'an ORT format model', hint: 'Give the .onnx file it was converted from.' }],
  [4, 'TFL3', { what: 'a TensorFlow Lite model', hint: 'Convert it to ONNX first (tf2onnx).' }],
  [0, 'PK\x03\x04', { what: 'a zip archive (PyTorch saves such files)', hint: EXPORT }],
  [0, '\x89HDF', { what: 'an HDF5 file (Keras saves such files)', hint: EXPORT }],
  [0, '\x1f\x8b', { what: 'gzip-compressed', hint: 'Decompress it first.' }],
  [0, '<!DOCTYPE', { what: 'an HTML page', hint: 'The download went wrong: fetch the file itself.' }],
];

function foreignFormat(bytes: Uint8Array): Foreign | undefined {
  const start = Buffer.from(bytes.subarray(0, 32)).toString('latin1');
  return SIGNATURES.find(([at, signature]) => start.startsWith(signature, at))?.[2];
}
