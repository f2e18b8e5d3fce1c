/** Of ONNX files and the data beside them. */
import { messageOf, OfframpError } from './offramp-error.ts';

export const notAnOnnxFile = (problem: string, hint = 'Give a model saved by `onnx.save` or an exporter.') =>
  new OfframpError('not-an-onnx-file', `this is not an ONNX model: ${problem}`, hint);

export const truncatedFile = () =>
  new OfframpError(
    'truncated-file',
    'the ONNX model ends in the middle of a field',
    'The file is incomplete: download or export it again.',
  );

export const malformedFile = (where: string, problem: string, cause?: unknown) =>
  new OfframpError(
    'malformed-file',
    `${problem} (${where})`,
    'The file is damaged: download or export it again.',
    { cause },
  );

export const tooManyFields = (limit: number) =>
  new OfframpError(
    'too-many-fields',
    `the file consists of more than ${limit} protobuf fields`,
    'Models have some thousands. If this is one, simplify it first (onnxsim).',
  );

export const malformedTensor = (name: string, problem: string) =>
  new OfframpError(
    'malformed-tensor',
    `tensor ${name || '(unnamed)'}: ${problem}`,
    'Check the model with `onnx.checker` or re-export it.',
  );

export const nestedTooDeeply = (limit: number) =>
  new OfframpError(
    'nested-too-deeply',
    `graphs lie more than ${limit} deep in one another`,
    'No protobuf reader accepts such a model: flatten its If and Loop nodes.',
  );

export const functionsTooDeep = (name: string, limit: number) =>
  new OfframpError(
    'functions-too-deep',
    `function ${name} calls itself, or lies more than ${limit} deep in others`,
    'Inline the functions: onnx.inliner.inline_local_functions(model).',
  );

export const functionsTooLarge = (name: string, limit: number) =>
  new OfframpError(
    'functions-too-large',
    `function ${name} stands for more than ${limit} nodes when the functions it calls are inlined`,
    'Export the model with fewer functions in one another.',
  );

export const inputTooLarge = (input: string, bytes: number, limit: number) =>
  new OfframpError(
    'input-too-large',
    `input ${input}: a sample takes ${bytes} bytes, more than ${limit}`,
    'Export the model with smaller input dimensions, or give smaller ones where they are open (`dims`).',
  );

export const modelTooLarge = (sizeBytes: number) =>
  new OfframpError(
    'model-too-large',
    `the model takes ${sizeBytes} bytes, more than protobuf's 2 GiB`,
    'Save the original with external data: its weights then stay out of the model file.',
  );

export const unreadableModel = (path: string, reason: string) =>
  new OfframpError(
    'unreadable-model',
    reason.startsWith('ENOENT')
      ? `there is no file ${path}`
      : reason.startsWith('EISDIR')
        ? `${path} is a folder, not an ONNX file`
        : `cannot read the model ${path}: ${reason}`,
    'Check the path and that the file may be read.',
  );

export const externalDataMissing = (tensor: string, location: string) =>
  new OfframpError(
    'external-data-missing',
    `the data of tensor ${tensor} should be in the file "${location}", which is not there`,
    'Put the file beside the model, where the exporter wrote it, or name its folder: `externalDataFolder`.',
  );

export const externalDataOutside = (tensor: string, location: string, folder: string) =>
  new OfframpError(
    'external-data-outside',
    `the data of tensor ${tensor} are in "${location}", which leads out of ${folder}`,
    'Put the file itself there, no link, and save the model with a relative location; `externalDataFolder` names another folder.',
  );

export const externalDataTooShort = (tensor: string, location: string, needed: number, found: number) =>
  new OfframpError(
    'external-data-too-short',
    `the data of tensor ${tensor} end at byte ${needed} of "${location}", which has ${found}`,
    'The file is incomplete or belongs to another model: download or export both again.',
  );

export const externalDataPointer = (tensor: string, location: string) =>
  new OfframpError(
    'external-data-missing',
    `the data of tensor ${tensor} should be in the file "${location}", which is a Git LFS pointer in its place`,
    'Fetch the file itself: `git lfs pull`.',
  );

export const externalDataNameTaken = (location: string) =>
  new OfframpError(
    'external-data-name-taken',
    `the model's external data are in "${location}", which is also the name of a file that Offramp writes beside it`,
    'Save the model with another location for its external data, e.g. onnx.save_model(…, location="weights.bin").',
  );

export const externalDataInFunction = (tensor: string, location: string) =>
  new OfframpError(
    'external-data-in-function',
    `the data of tensor ${tensor}, which is inside a local function, are in "${location}"; beside the files of other networks that file gets another name`,
    'Inline the functions first: onnx.inliner.inline_local_functions(model).',
  );

export const externalDataGone = (path: string, cause: unknown) =>
  new OfframpError(
    'external-data-gone',
    `the external data in ${path} were there when the model was read and cannot be read now: ${messageOf(cause)}`,
    'Put the file back, and leave it where it is until the command has ended.',
    { cause },
  );
