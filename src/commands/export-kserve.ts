/** A compiled model, or what `split` made for a server, as a folder that KServe serves: a model repository and the InferenceService that names it. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isFile } from '../data/files.ts';
import { type Content, checkApart, checkOutput, filesIn, writeOutput } from '../emit/write.ts';
import { badOption, invalidManifest, messageOf, option } from '../errors/index.ts';
import { printInferenceService } from '../export/kserve.ts';
import type { ServerManifest } from '../export/server-manifest.ts';
import type { BakeOptions } from './bake.ts';
import { type ExportTritonOptions, exportTriton } from './export-triton.ts';
import { checkCall } from './options.ts';
import { isSplitName } from './split/files.ts';

export interface ExportKserveOptions
  extends BakeOptions,
    Pick<ExportTritonOptions, 'name' | 'maxBatch' | 'instances' | 'threads' | 'force'> {
  /** The folder to write. */
  readonly out: string;
  /** Where the cluster will find what is in `<out>/models`: `s3://…`, `gs://…`, `pvc://claim/path`, `hf://…` or `https://…`. */
  readonly storage: string;
  /** Of the InferenceService; the served model's name with hyphens by default. */
  readonly service?: string;
  /** Of each replica, as Kubernetes writes quantities: as many cores as copies times threads, and `2Gi`, by default. */
  readonly cpu?: string;
  readonly memory?: string;
  /** Least and most replicas; 1 and 1 by default. */
  readonly minReplicas?: number;
  readonly maxReplicas?: number;
}

export interface ExportedKserve {
  readonly folder: string;
  readonly service: string;
  /** Names that clients ask for. */
  readonly models: readonly string[];
}

const SERVICE_FILE = 'inference-service.yaml';
const MODELS = 'models';

/**
 * Writes `<out>/models`, a Triton model repository, and `<out>/inference-service.yaml`. Of what `split` made for a server, all models of it, as they are;
 * of a package as `exportTriton` does, and throws what that throws. Throws `bad-option` where options contradict each other, `output-not-empty`,
 * `output-unusable` and `output-failed`.
 */
export async function exportKserve(options: ExportKserveOptions): Promise<ExportedKserve> {
  checkCall('export kserve', options);
  const { folder, out, storage, instances = 2, threads = 1, force = false } = options;
  const { cpu = String(instances * threads), memory = '2Gi', minReplicas = 1, maxReplicas = 1 } = options;
  if (maxReplicas < Math.max(1, minReplicas))
    throw badOption(
      option('maxReplicas'),
      String(maxReplicas),
      `at least ${Math.max(1, minReplicas)}, the least number`,
    );
  await checkOutput(out, { force });
  await checkApart(out, await filesIn(folder));
  const served = await readServed(folder);
  if (served) refuseOfPackages(options);
  const models = served
    ? served.map(({ name }) => name)
    : [(await exportTriton(tritonOptions(options))).name];
  const service = options.service ?? serviceName(models, served !== undefined);
  const manifest = printInferenceService({ name: service, storage, cpu, memory, minReplicas, maxReplicas });
  const repository = served ? await copied(folder, models) : [];
  const stale = await servedBefore(out, models);
  const files = new Map<string, Content>([...repository, [SERVICE_FILE, manifest]]);
  await writeOutput(out, files, { update: true, stale });
  return { folder: out, service, models };
}

/** Models of an earlier split in `out`, but for `models`: KServe would load them. */
async function servedBefore(out: string, models: readonly string[]): Promise<string[]> {
  const there = await readdir(join(out, MODELS)).catch(() => []);
  return there
    .filter((name) => isSplitName(name) && !models.includes(name))
    .map((name) => `${MODELS}/${name}`);
}

/** The models in `folder`, where it is what `split` made for a server. */
async function readServed(folder: string): Promise<ServerManifest['models'] | undefined> {
  const path = join(folder, 'manifest.json');
  if (!isFile(path)) return undefined;
  try {
    const { models } = JSON.parse(await readFile(path, 'utf8')) as Partial<ServerManifest>;
    return models;
  } catch (error) {
    throw invalidManifest('the file', `is not JSON: ${messageOf(error)}`);
  }
}

/** Options of `exportTriton`, which say nothing where the models are there already. */
function refuseOfPackages(options: ExportKserveOptions): void {
  for (const name of [
    'model',
    'first',
    'at',
    'externalDataFolder',
    'name',
    'maxBatch',
    'instances',
    'threads',
  ] as const)
    if (options[name] !== undefined)
      throw badOption(
        option(name),
        String(options[name]),
        `it with a package: ${options.folder} holds models for a server as they are`,
      );
}

function tritonOptions(options: ExportKserveOptions): ExportTritonOptions {
  const {
    out,
    storage: _,
    service: __,
    cpu: ___,
    memory: ____,
    minReplicas: _____,
    maxReplicas: ______,
    ...rest
  } = options;
  return { ...rest, repository: join(out, MODELS) };
}

/** As Kubernetes takes names: at most 63 characters, lower case. Of several models, what their names begin with. */
function serviceName(models: readonly string[], isSplit: boolean): string {
  const name = isSplit ? models[0]!.replace(/_[0-9a-f]{12}$/, '') : models[0]!;
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
    .replace(/^\d/, 'm$&');
}

/** What Triton reads of `models`, which lie in `folder`. */
async function copied(folder: string, models: readonly string[]): Promise<[string, Content][]> {
  const found: [string, Content][] = [];
  for (const model of models)
    for (const entry of await readdir(join(folder, model), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const within = path.slice(join(folder, model).length + 1).replaceAll('\\', '/');
      if (entry.isFile() && !within.startsWith('parts/'))
        found.push([`${MODELS}/${model}/${within}`, { copyOf: path }]);
    }
  return found;
}
