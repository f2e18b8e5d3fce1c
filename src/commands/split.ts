/** A compiled model cut at an exit: a package that answers what is easy where it runs, and a repository of the rest for a server. */
import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { closesAll, pointNamed } from '../calibrate/index.ts';
import { isFile } from '../data/files.ts';
import type { Dataset } from '../data/index.ts';
import type { Manifest, ManifestSent, OperatingPoint, SplitLoss } from '../emit/manifest.ts';
import { readPackage } from '../emit/read-package.ts';
import { pictureInputOf } from '../emit/stub-pictures.ts';
import { checkApart, checkOutput, filesIn, writeOutput } from '../emit/write.ts';
import type { Events } from '../errors/events.ts';
import { badOption, bakedUnsplit, option, pixelsUnknown, unknownExit } from '../errors/index.ts';
import { type Note, warning } from '../errors/notes.ts';
import type { LoweredPart } from '../passes/lower-part.ts';
import { quantiseFeatures } from '../passes/quantise-features.ts';
import { refuseAmongSamples } from './apart.ts';
import { filesReadBy } from './bake.ts';
import { servedName } from './export-triton.ts';
import { openSamples } from './open-samples.ts';
import { checkCall } from './options.ts';
import type { SplitAgreement } from './split/check.ts';
import {
  bytesOf,
  CLIENT,
  clientFiles,
  filesBefore,
  type NamedRest,
  SERVER,
  sentOf,
  serverFiles,
} from './split/files.ts';
import {
  fileOf,
  hashOf,
  lowerClient,
  type PartFile,
  type Pixels,
  pixelsOf,
  type Splitting,
} from './split/parts.ts';
import { reopenToSplit } from './split/reopen.ts';
import { type Rest, restsOf } from './split/rests.ts';
import { fitScales, inHalves, measureLoss } from './split/round.ts';
import { type Running, sizeOf } from './split/run.ts';
import { verifySplit } from './split/verify.ts';
import type { Bits, SplitOptions } from './split-options.ts';

export interface WrittenSplit {
  /** Absent where all is for the server. */
  readonly client?: SplitClient;
  readonly server: { readonly folder: string; readonly models: readonly SplitModel[] };
  /** What travels of a sample that is asked. */
  readonly sends: readonly ManifestSent[];
  /** Of such a sample. */
  readonly bytes: number;
  readonly points: readonly SplitPoint[];
  readonly verified: SplitAgreement;
  /** What 8 or 16 bits change. */
  readonly loss?: SplitLoss;
}

export interface SplitClient {
  readonly folder: string;
  /** Id of its last exit. */
  readonly after: string;
  /** Of the model and its external data. */
  readonly modelBytes: number;
}

export interface SplitModel {
  /** As clients ask for it. */
  readonly name: string;
  readonly points: readonly string[];
  /** How many networks it runs. */
  readonly networks: number;
  /** Of the model and its external data. */
  readonly modelBytes: number;
}

export interface SplitPoint {
  readonly name: string;
  /** Share of samples that the client answers, of those that the package's figures are from. */
  readonly stays: number;
  readonly served: string;
}

/**
 * Writes `<out>/client`, the generated package of the chain up to the exit `after`, and `<out>/server`, a Triton model repository of what comes behind it,
 * thresholds built in, with a manifest.json for other servers. Client and server are run one after the other against the package's own model before. Throws `unknown-exit`,
 * `cannot-split`, `bad-option`, `not-a-package`, `unknown-operating-point`, `other-model`, `network-missing`, `policy-outdated`, `unusable-heads`,
 * `emitted-model-differs`, `output-not-empty`, `output-failed`, and what reading models and data throws.
 */
export async function split(options: SplitOptions, events: Events = {}): Promise<WrittenSplit> {
  checkCall('split', options, events);
  const { folder, out, bits = 32, force = false } = options;
  const manifest = await readPackage(folder);
  if (manifest.outputs.thresholds === null) throw bakedUnsplit(folder);
  const cut = options.after === undefined ? 0 : exitNumbered(manifest, options.after);
  if (bits < 32 && manifest.exits[cut - 1]?.head === 'end') throw bitsOfNothing(options.after!, bits);
  refuseUnsaid(options);
  const points =
    options.at?.map((name) => pointNamed(manifest.operatingPoints, name)) ?? manifest.operatingPoints;
  const pixels = settlePixels(manifest, options);
  await checkOutput(out, { force });
  await checkApart(out, await filesReadFor(manifest, options));
  await refuseAmongSamples([out, options.cache], options);

  const reopened = await reopenToSplit(manifest, options);
  const splitting: Splitting = { manifest, reopened, cut, pixels };
  const lowered = cut > 0 ? await lowerClient(splitting) : undefined;
  const client = lowered && fileOf(splitting, lowered);
  const rests = restsOf(splitting, points);
  refuseUnsent(options, rests[0]!.file);
  const running: Running = {
    session: options.threads === undefined ? {} : { threads: options.threads },
    cache: options.cache ?? defaultCache(),
  };
  const { verified, outputs } = await verifySplit(splitting, client, rests, options, running, events);
  const rounded =
    lowered && client && bits < 32
      ? await roundSplit({ splitting, lowered, client, rests, points }, options, running, events)
      : undefined;

  const base = `${(options.name ?? servedName(manifest)).replaceAll('-', '_')}${cut > 0 ? '_rest' : ''}`;
  const { loss } = rounded ?? {};
  const sent = rounded?.rests ?? rests;
  const named = sent.map((rest, n): NamedRest => {
    return { ...rest, name: `${base}_${hashOf(rest.file.bytes)}`, outputs: outputs[n]! };
  });
  const sends = sentOf(named[0]!.file, rests[0]!.file, pixels);
  const bytes = bytesOf(sends);
  const stays = ({ exitShares }: OperatingPoint) =>
    exitShares.slice(0, cut).reduce((sum, share) => sum + share, 0);
  if (cut > 0)
    for (const note of notesOnCut(options.after!, points, stays, sends, pixels)) events.onNote?.(note);
  const servedAt = new Map(named.flatMap(({ name, points }) => points.map((point) => [point.name, name])));
  const models = Object.fromEntries(points.map(({ name }) => [name, servedAt.get(name)!]));
  const files = new Map([
    ...inFolder(SERVER, serverFiles(manifest, cut, named)),
    ...(client
      ? inFolder(
          CLIENT,
          await clientFiles(folder, manifest, points, rounded?.client ?? client, {
            ...{ after: options.after!, served: base, models, sends, bytes },
            ...(loss && { loss }),
          }),
        )
      : []),
  ]);
  await writeOutput(out, files, { force, stale: await filesBefore(out) });
  return {
    ...(client && {
      client: { folder: join(out, CLIENT), after: options.after!, modelBytes: await sizeOf(client) },
    }),
    server: {
      folder: join(out, SERVER),
      models: await Promise.all(
        named.map(async ({ name, points, file, parts }) => ({
          name,
          points: points.map((point) => point.name),
          networks: Math.max(1, parts.length),
          modelBytes: await sizeOf(file),
        })),
      ),
    },
    sends,
    bytes,
    points: points.map((point) => ({
      name: point.name,
      stays: stays(point),
      served: models[point.name]!,
    })),
    verified,
    ...(loss && { loss }),
  };
}

/** What a user should know of a place where little is won. `stays`: the share of samples that the client answers at a point. */
function notesOnCut(
  after: string,
  points: readonly OperatingPoint[],
  stays: (point: OperatingPoint) => number,
  sends: readonly ManifestSent[],
  pixels: Pixels | undefined,
): Note[] {
  // All are asked at a point that closes every exit: that is what it is for.
  const none = points.filter((point) => stays(point) === 0 && !closesAll(point.thresholds));
  const notes: Note[] = [];
  if (none.length > 0)
    notes.push(
      warning(
        'nothing-stays',
        `At ${none.map(({ name }) => name).join(', ')} the server is asked for every sample: none leaves before ${after}, or there. Cut at a later exit, or leave out those points (\`at\`).`,
      ),
    );
  const picture = pixels?.picture;
  const bytes = bytesOf(sends);
  if (picture !== undefined && bytes > picture)
    notes.push(
      warning(
        'larger-than-picture',
        `What travels of a sample, ${bytes.toLocaleString('en')} bytes, is more than the picture itself, ${picture.toLocaleString('en')} bytes. At the end of a network the picture travels.`,
      ),
    );
  return notes;
}

interface ToRound {
  readonly splitting: Splitting;
  readonly lowered: LoweredPart;
  readonly client: PartFile;
  readonly rests: readonly Rest[];
  readonly points: readonly OperatingPoint[];
}

/** Client and rests whose features travel in fewer bits, and what that changes on samples. */
async function roundSplit(
  { splitting, lowered, client, rests, points }: ToRound,
  options: SplitOptions,
  running: Running,
  events: Events,
) {
  const { manifest } = splitting;
  const { folder, test } = options;
  const withData = async <T>(name: 'calibration' | 'test', use: (data: Dataset) => Promise<T>) => {
    const data = await openSamples(options[name]!, name, manifest, options, events);
    return await use(data).finally(() => data.close());
  };
  const forms =
    options.bits === 8
      ? await withData('calibration', (data) => fitScales(splitting, client, points, data, running, events))
      : inHalves(client);
  const changed = {
    client: fileOf(splitting, quantiseFeatures(lowered, forms)),
    rests: restsOf(splitting, points, (part) => quantiseFeatures(part, forms)),
  };
  const loss = await withData(test === undefined ? 'calibration' : 'test', (data) =>
    measureLoss(splitting, { client, rests }, changed, data, join(folder, 'model.onnx'), running, events),
  );
  return { ...changed, loss };
}

/** Exits up to the one called `id`, counted from the first. */
function exitNumbered({ exits }: Manifest, id: string): number {
  const at = exits.findIndex((exit) => exit.id === id);
  if (at < 0)
    throw unknownExit(
      id,
      exits.map((exit) => exit.id),
    );
  return at + 1;
}

/** How the input that is a picture travels as pixels; undefined where it does not. */
function settlePixels(manifest: Manifest, { folder, send }: SplitOptions): Pixels | undefined {
  if (send === 'tensor') return undefined;
  const picture = pictureInputOf(manifest);
  if (picture?.input.dataType === 'float') return pixelsOf(manifest, picture);
  if (send === 'pixels') throw pixelsUnknown(folder);
  return undefined;
}

/** Throws `bad-option` for options that others leave nothing to say. */
function refuseUnsaid({ after, bits = 32, calibration, test }: SplitOptions): void {
  if (bits < 32 && after === undefined)
    throw badOption(
      option('bits'),
      String(bits),
      `it with ${option('after')}: without a client no features travel`,
    );
  if (bits === 8 && calibration === undefined)
    throw badOption(
      option('bits'),
      '8',
      `it with ${option('calibration')}: the scale of each channel is fitted on these samples`,
    );
  if (bits === 16 && calibration === undefined && test === undefined)
    throw badOption(
      option('bits'),
      '16',
      `it with ${option('test')} or ${option('calibration')}: what rounding changes is measured on these samples`,
    );
  if (bits === 32 && test !== undefined)
    throw badOption(
      option('test'),
      test,
      `it with ${option('bits', '8')} or ${option('bits', '16')}, whose loss is measured on it`,
    );
}

/** Throws `bad-option` for what is said of something that does not travel. `rest`: what takes it. */
function refuseUnsent({ after, bits = 32, send }: SplitOptions, { takes }: PartFile): void {
  if (bits < 32 && !takes.some(({ role }) => role === 'feature')) throw bitsOfNothing(after!, bits);
  if (send !== undefined && !takes.some(({ role }) => role === 'input'))
    throw badOption(
      option('send'),
      `'${send}'`,
      `it with another exit: behind ${after} no input is read any more`,
    );
}

const bitsOfNothing = (after: string, bits: Bits) =>
  badOption(
    option('bits'),
    String(bits),
    `it with an exit inside a network: behind ${after}, which is the end of one, the next reads the inputs themselves`,
  );

async function filesReadFor(manifest: Manifest, options: SplitOptions): Promise<string[]> {
  const { folder, model, first, calibration, test } = options;
  const data = [calibration, test].filter((path) => path !== undefined);
  return [
    ...(await filesReadBy(manifest, { folder, model, ...(first && { first }) })),
    // Of an earlier split that was written into the package nothing is read.
    ...(await filesIn(folder)).filter(isFile),
    ...data,
  ];
}

const inFolder = <T>(folder: string, files: ReadonlyMap<string, T>): [string, T][] =>
  Array.from(files, ([path, content]) => [`${folder}/${path}`, content]);
