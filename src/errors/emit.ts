/** Of what is written. */
import { OfframpError } from './offramp-error.ts';

export const invalidManifest = (where: string, problem: string) =>
  new OfframpError(
    'invalid-manifest',
    `manifest: ${where} ${problem}`,
    'Compile the model again, or compare the manifest with schema/manifest.schema.json.',
  );

export const packageDamaged = (folder: string, problem: string) =>
  new OfframpError(
    'package-damaged',
    `${folder}: ${problem}`,
    'Put its files back as one compile wrote them, or compile the model again.',
  );

export const packageOutdated = (folder: string, file: string) =>
  new OfframpError(
    'package-outdated',
    `${folder}: ${file} was written by an earlier Offramp, and the code that this one generates would read it otherwise`,
    'Compile the model again, or use the Offramp that wrote the package.',
  );

/** `missing`: a parameter that the policy has today. */
export const policyOutdated = (folder: string, policy: string, missing: string) =>
  new OfframpError(
    'policy-outdated',
    `${folder}: the policy ${policy} was fitted by an older Offramp, without its parameter ${missing}`,
    'Run `npx onnx-offramp calibrate` on the package, which fits the policy again, or compile the model again.',
  );

export const manifestVersionUnknown = (version: number) =>
  new OfframpError(
    'manifest-version-unknown',
    `the manifest has schemaVersion ${version}; this Offramp reads version 1`,
    'Use the Offramp version that wrote it, or compile the model again.',
  );

export const outputNotEmpty = (folder: string) =>
  new OfframpError(
    'output-not-empty',
    `the output folder ${folder} is not empty`,
    'Choose another folder, or add `force: true` to replace the files that Offramp wrote there.',
  );

export const fileThere = (path: string) =>
  new OfframpError(
    'output-not-empty',
    `${path} is there already`,
    'Give another name, or add `force: true` to replace it.',
  );

export const outputUnusable = (path: string, problem: string, cause?: unknown) =>
  new OfframpError(
    'output-unusable',
    `${path} cannot be written: ${problem}`,
    'Choose another place: one that is new, or below a folder that may be written to.',
    { cause },
  );

export const outputFailed = (folder: string, reason: string, cause: unknown) =>
  new OfframpError(
    'output-failed',
    `could not write ${folder}: ${reason}`,
    'Check the disk and who may write there; what was there before is untouched.',
    { cause },
  );

export const badClassName = (name: string) =>
  new OfframpError(
    'bad-class-name',
    `"${name}" cannot be the name of the generated class`,
    'Give an identifier that starts with an upper-case letter and is not a global or a name the package uses itself.',
  );

export const packageDiffers = (files: readonly string[], command: string) =>
  new OfframpError(
    'package-differs',
    `not what would be generated from manifest.json: ${files.join(', ')}`,
    `Run \`${command}\` and commit what it writes.`,
  );
