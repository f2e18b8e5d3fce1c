/** What `compile` wrote, read again. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  invalidManifest,
  messageOf,
  notAPackage,
  OfframpError,
  packageDamaged,
  packageIsClient,
  packageIsServer,
} from '../errors/index.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import { isOneScore } from '../passes/exits.ts';
import { POLICY_NAMES } from '../policies/index.ts';
import { TOKENIZER_FILE } from './file-names.ts';
import type { Manifest } from './manifest.ts';
import { readManifest } from './manifest-json.ts';
import { finishWriting } from './write.ts';

/** The manifest of what `compile` wrote to `folder`. Throws `not-a-package`, `package-is-client`, `package-is-server`, and what `readManifest` throws. */
export async function readPackage(folder: string): Promise<Manifest> {
  const manifest = await readAnyPackage(folder);
  if (manifest.split) throw packageIsClient(folder, manifest.split.after);
  return manifest;
}

/** The same, also of the client that `split` wrote, whose model is not the whole. */
export async function readAnyPackage(folder: string): Promise<Manifest> {
  await finishWriting(folder);
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => {
    throw notAPackage(folder, existsSync(join(folder, 'server', 'manifest.json')));
  });
  if (isOfServer(text)) throw packageIsServer(folder);
  const manifest = readManifest(text);
  const { policy } = manifest;
  if (!(POLICY_NAMES as readonly string[]).includes(policy))
    throw invalidManifest('policy', `is ${policy}; there are ${POLICY_NAMES.join(', ')}`);
  return manifest;
}

/** Whether a manifest.json lists models, as that of a split's server does. */
function isOfServer(json: string): boolean {
  try {
    return Array.isArray((JSON.parse(json) as { models?: unknown } | null)?.models);
  } catch {
    return false;
  }
}

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Throws `package-damaged` unless `folder` holds the model and the tokenizer that `manifest` was written with, and the model has what the manifest says. */
export async function checkEmitted(
  folder: string,
  manifest: Manifest,
  session: SessionOptions,
): Promise<void> {
  const file = join(folder, 'model.onnx');
  const bytes = await readFile(file).catch((error) => {
    throw packageDamaged(folder, `model.onnx cannot be read: ${messageOf(error)}`);
  });
  const { model, outputs, inputs, classes, activation } = manifest;
  if (model && sha256Of(bytes) !== model.sha256)
    throw packageDamaged(folder, 'model.onnx is not the one that manifest.json was written with');
  const own = manifest.tokenizer && (await readFile(join(folder, TOKENIZER_FILE)).catch(() => undefined));
  if (own && sha256Of(own) !== manifest.tokenizer!.sha256)
    throw packageDamaged(folder, `${TOKENIZER_FILE} is not the one that manifest.json was written with`);
  try {
    await withSession(file, session, async ({ inputMetadata, outputMetadata }) => {
      for (const name of [outputs.scores, outputs.exitIndex, outputs.exitConfidence])
        if (!outputMetadata.some((output) => output.name === name))
          throw packageDamaged(folder, `model.onnx has no output ${name}`);
      const scores = outputMetadata.find(({ name }) => name === outputs.scores)!;
      const width = scores.isTensor ? scores.shape[1] : undefined;
      if (typeof width === 'number' && width > 0 && width !== (isOneScore(activation) ? 1 : classes))
        throw packageDamaged(folder, `model.onnx scores ${width} classes, manifest.json has ${classes}`);
      for (const { name, dims } of inputs) {
        const input = inputMetadata.find((one) => one.name === name);
        const shape = input?.isTensor ? input.shape : [];
        const differs = dims.some(
          (size, i) => typeof size === 'number' && typeof shape[i] === 'number' && shape[i] !== size,
        );
        if (!input || shape.length !== dims.length || differs)
          throw packageDamaged(folder, `model.onnx has no input ${name} [${dims.join(', ')}]`);
      }
    });
  } catch (error) {
    if (error instanceof OfframpError && error.code !== 'session-failed') throw error;
    throw packageDamaged(folder, `model.onnx cannot be run: ${messageOf(error)}`);
  }
}
