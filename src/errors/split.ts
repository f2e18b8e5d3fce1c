/** Of a model that is split between a client and a server. */
import { OfframpError } from './offramp-error.ts';
import { option, optionText } from './option.ts';

export const unknownExit = (name: string, exits: readonly string[]) =>
  new OfframpError(
    'unknown-exit',
    `${option('after')}: the model has no exit ${name}`,
    `There are ${exits.join(', ')}. What comes behind the last of them is the original's own end, and goes to the server.`,
  );

export const bakedUnsplit = (folder: string) =>
  new OfframpError(
    'cannot-split',
    `${folder}: the thresholds of one operating point are built into the model, and a client chooses its own`,
    `Make them an input: \`npx onnx-offramp calibrate\` with ${optionText('thresholds', 'input')}, or compile again without ${optionText('thresholds', 'baked')}.`,
  );

export const pixelsUnknown = (folder: string) =>
  new OfframpError(
    'bad-option',
    `${optionText('send', 'pixels')}: ${folder} does not say how pixels become the numbers of its input`,
    `Give ${optionText('send', 'tensor')}, or leave it out.`,
  );

/** `value`: the first of `data` that is not what a pixel becomes. */
export const notPixels = (data: string, value: number) =>
  new OfframpError(
    'cannot-split',
    `${data} holds ${value}, which is what no pixel from 0 to 255 becomes`,
    `Give data of pictures, or ${optionText('send', 'tensor')}: then the numbers themselves travel.`,
  );

export const clientDiffers = (at: string, problem: string) =>
  new OfframpError(
    'emitted-model-differs',
    `client and server do not answer as the whole model does, at ${at}: ${problem}`,
    'This is a bug in Offramp: please report it with the model.',
  );

export const packageIsClient = (folder: string, after: string) =>
  new OfframpError(
    'package-is-client',
    `${folder} is the client of a split: it ends at ${after}, and a server has the rest`,
    'Give the folder that compile wrote, which was split.',
  );

export const packageIsServer = (folder: string) =>
  new OfframpError(
    'package-is-server',
    `${folder} is the server's half of a split, a model repository`,
    'Give the folder that compile wrote, which was split. A server takes this one; `export kserve` too.',
  );
