/** A chain as models of a Triton repository, one a network, and a script that sends samples on. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { type Content, checkOutput, writeOutput } from '../emit/write.ts';
import { badOption, cannotBatch, option, originalMissing } from '../errors/index.ts';
import { printBlsModel } from '../export/triton-bls.ts';
import type { TensorSpec } from '../export/triton-config.ts';
import {
  classifierOutputs,
  outputsNamed,
  printTritonModel,
  withoutBatchName,
} from '../export/triton-model.ts';
import { withSession } from '../ort/session.ts';
import { STATE_INPUT } from '../passes/lower-part.ts';
import type { BakeOptions } from './bake.ts';
import { checkSplit, noiseSamples } from './split/check.ts';
import { fileOf, lowerServer, partsBehind, type Splitting } from './split/parts.ts';
import { reopenToSplit } from './split/reopen.ts';
import type { PartOfNetwork } from './split/rests.ts';
import { withStages } from './split/run.ts';

export interface PerNetwork extends Omit<BakeOptions, 'at'> {
  readonly repository: string;
  readonly name: string;
  readonly maxBatch: number;
  readonly instances: number;
  readonly threads: number;
  readonly notes: readonly string[];
  readonly force: boolean;
}

/** Copies of the script. They wait, most of the time. */
const SCRIPTS = 4;

/**
 * Writes `<name>`, which takes and gives what the whole model does, and `<name>_1`, `<name>_2`, …, a model a network, into the repository. They are run
 * one after another against the package's own model before. Returns the names of the networks' models. Throws `bad-option` where one network alone runs at `point`, `original-missing`, and as `exportTriton` does.
 */
export async function exportPerNetwork(
  manifest: Manifest,
  point: OperatingPoint,
  options: PerNetwork,
): Promise<readonly string[]> {
  const { folder, model, repository, name, maxBatch, instances, threads, notes, force } = options;
  const stretches = partsBehind(manifest, 0, point.thresholds);
  if (stretches.length === 1)
    throw badOption(
      option('perNetwork'),
      'true',
      `it with an operating point at which several networks run: at ${point.name} it is one alone`,
    );
  if (model === undefined) throw originalMissing(folder, point.name);
  const names = stretches.map((_, n) => `${name}_${n + 1}`);
  for (const one of [name, ...names]) await checkOutput(join(repository, one), { force });
  const reopened = await reopenToSplit(manifest, { ...options, model });
  const splitting: Splitting = { manifest, reopened, cut: 0, pixels: undefined };
  const parts = stretches.map(({ network, ...part }): PartOfNetwork => {
    return { network, ...fileOf(splitting, lowerServer(splitting, part, point.thresholds)) };
  });
  const running = { session: { threads }, cache: defaultCache() };
  const outputs = await withStages(parts, running, async (stages) => {
    // Of a model with thresholds built in there is one point to compare with, and that need not be this one.
    const isBaked = manifest.outputs.thresholds === null;
    const whole = isBaked
      ? fileOf(splitting, lowerServer(splitting, { from: 0 }, point.thresholds)).bytes
      : join(folder, 'model.onnx');
    await withSession(whole, running.session, (session) =>
      checkSplit(
        { manifest, whole: session, client: undefined },
        { points: [point], stages },
        noiseSamples(manifest, undefined),
        0,
      ),
    );
    return stages.map(({ session, gives }) => [
      ...classifierOutputs(session, manifest),
      ...outputsNamed(
        session,
        gives.map((given) => given.name),
      ),
    ]);
  });
  const stuck = outputs.flat().find(({ dims }) => maxBatch > 0 && dims[0] !== -1);
  if (stuck) throw cannotBatch(stuck.name, stuck.dims);

  const specs = (tensors: PartOfNetwork['takes']): TensorSpec[] =>
    tensors.map(({ name, dataType, dims }) => ({ name, dataType, dims: withoutBatchName(dims) }));
  const files = new Map<string, Content>();
  const add = (model: string, content: ReadonlyMap<string, Content>) => {
    for (const [path, one] of content) files.set(`${model}/${path}`, one);
  };
  for (const [n, part] of parts.entries())
    add(
      names[n]!,
      printTritonModel({
        manifest,
        ...part,
        name: names[n]!,
        notes: [`Network ${n + 1} of ${parts.length} of ${name}, ${part.network}: asked by ${name}.`],
        inputs: specs(part.takes),
        outputs: outputs[n]!,
        maxBatch,
        instances,
        threads,
      }),
    );
  const { scores, exitIndex, exitConfidence } = manifest.outputs;
  add(
    name,
    printBlsModel({
      name,
      notes: [...notes, `It asks ${names.join(', ')} in this order, each for the samples that are in play.`],
      inputs: specs(parts[0]!.takes),
      outputs: outputs[0]!.slice(0, 3),
      maxBatch,
      instances: SCRIPTS,
      chain: {
        scores,
        exit_index: exitIndex,
        exit_confidence: exitConfidence,
        in_play: manifest.exits.length,
        parts: parts.map(({ takes, gives }, n) => ({
          model: names[n]!,
          inputs: takes.map((tensor) => tensor.name),
          gives: Object.fromEntries(
            gives.flatMap(({ name, role }) => (role === 'state' ? [[STATE_INPUT, name]] : [])),
          ),
        })),
      },
    }),
  );
  const stale = (await networksBefore(repository, name)).filter((one) => !names.includes(one));
  await writeOutput(repository, files, { update: true, stale });
  return names;
}

/** Models in `repository` that an earlier export made, one a network of `name`: Triton would load them, and nobody would ask them. */
export async function networksBefore(repository: string, name: string): Promise<string[]> {
  const found: string[] = [];
  for (let n = 1; ; n++) {
    const config = join(repository, `${name}_${n}`, 'config.pbtxt');
    const text = await readFile(config, 'utf8').catch(() => '');
    const [first] = text.split('\n');
    if (!first!.startsWith(`# Network ${n} of `) || !first!.endsWith(`: asked by ${name}.`)) return found;
    found.push(`${name}_${n}`);
  }
}
