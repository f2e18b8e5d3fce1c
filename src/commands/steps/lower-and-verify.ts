/** Step 3 of 5: one graph with the exits inside, compared with heads and policy applied by hand before anything is written. */
import { info, type Note } from '../../errors/notes.ts';
import type { Model } from '../../graph/types.ts';
import type { Chain } from '../../networks/chain.ts';
import { type DataFile, type DataFiles, openDataFolder } from '../../networks/data-folder.ts';
import type { ExternalFiles } from '../../networks/external-files.ts';
import type { SessionOptions } from '../../ort/session.ts';
import { tensorsOf } from '../../parser/external-data.ts';
import { serializeWithData } from '../../parser/index.ts';
import { type Verified, type VerifyEffort, verifyEmitted } from '../../predict/verify.ts';
import { ORIGINAL_TOLERANCE } from '../../predict/verify-limits.ts';
import { networksWith } from '../chain-exits.ts';
import type { CompileContext } from '../project.ts';
import type { Calibrated } from './calibrated.ts';
import { lower } from './lower.ts';

export interface Emitted {
  /** model.onnx */
  readonly model: Uint8Array;
  /** Its external data, by location. */
  readonly files: DataFiles;
  /** How it is run before it is written. */
  readonly session: SessionOptions;
  /** Removes what `session` reads and nobody else. */
  close(): Promise<void>;
  /** Thresholds that are built in; undefined when they are an input. */
  readonly baked: readonly number[] | undefined;
  /** Outputs of the original that the model lacks. */
  readonly dropped: readonly string[];
}

/** Throws `emitted-model-differs` where the lowered model answers otherwise than heads and policy applied by hand. */
export async function lowerAndVerify(
  context: CompileContext,
  { exits, goals, chosen, points: { points, defaultPoint }, reported, runtime }: Calibrated,
  effort: VerifyEffort = 'some',
): Promise<Emitted> {
  const { inspection, chain, predicting, events, progress } = context;
  const { typed } = inspection;
  const baked = goals.thresholds === 'baked' ? defaultPoint.thresholds : undefined;
  const lowered = lower(context, exits, chosen.policy, baked, runtime);
  const emitted = await serialize(context, lowered);
  const kept = new Set(lowered.graph.outputs.map(({ name }) => name));
  const dropped = typed.model.graph.outputs.flatMap(({ name }) => (kept.has(name) ? [] : [name]));
  const verified = await verifyEmitted({
    model: emitted.model,
    typed,
    networks: networksWith(chain, exits.heads),
    dataset: reported.dataset,
    outcomes: reported.outcomes,
    predictions: reported.predictions,
    predictAlone: exits.predictAlone,
    thresholds: baked ? [baked] : points.map((point) => point.thresholds),
    baked: baked !== undefined,
    session: emitted.session,
    effort,
    signal: predicting.signal,
    onProgress: progress('verifying', 'answers'),
  }).catch(async (error) => {
    await emitted.close();
    throw error;
  });
  for (const note of notesOnVerification(verified)) events.onNote?.(note);
  return { ...emitted, baked, dropped };
}

/** As `serializeChain`, with what it takes to run it before it is written. */
async function serialize(
  { external, chain, cache, predicting }: CompileContext,
  lowered: Model,
): Promise<Pick<Emitted, 'model' | 'files' | 'session' | 'close'>> {
  const { model, files } = serializeChain(lowered, chain, external);
  const { session, signal } = predicting;
  if (!files.has(external.free)) return { model, files, session, close: async () => {} };
  const { folder, close } = await openDataFolder(files, cache, signal);
  return { model, files, session: { ...session, externalDataFolder: folder }, close };
}

/** The bytes of `lowered`, and the files that it needs beside it: what has no room in 2 GB goes into one of its own. */
export function serializeChain(
  lowered: Model,
  { networks }: Chain,
  external: ExternalFiles,
): { readonly model: Uint8Array; readonly files: DataFiles } {
  return serializeUsing(lowered, external, networks.at(-1)!.source.externalFiles);
}

/** As `serializeChain`, with the external data that `lowered` reads, and `always`. */
export function serializeUsing(
  lowered: Model,
  external: ExternalFiles,
  always: readonly string[] = [],
): { readonly model: Uint8Array; readonly files: DataFiles } {
  const { model, data } = serializeWithData(lowered, { location: external.free });
  const used = new Set(Array.from(tensorsOf(lowered.graph, []), (tensor) => tensor.external?.location));
  const here = [...external.files].filter(([location]) => always.includes(location) || used.has(location));
  return { model, files: new Map<string, DataFile>(data ? [...here, [external.free, data]] : here) };
}

function notesOnVerification({ compared, deviation, tolerance, unsteady }: Verified): Note[] {
  const notes: Note[] = [];
  if (unsteady > 0)
    notes.push(
      info(
        'exits-unsteady',
        `Answers at exits may move by ${unsteady.toExponential(1)} of the largest score with the batch: ONNX Runtime computes this model's intermediate values slightly differently at different batch sizes.`,
      ),
    );
  const exact =
    deviation === undefined
      ? ' at the thresholds that are built in'
      : `; with all exits closed it ${deviation === 0 ? 'equals' : `is within ${deviation.toExponential(1)} of`} the original`;
  const coarse =
    tolerance > ORIGINAL_TOLERANCE
      ? ` (allowed ${tolerance.toExponential(1)}: ONNX Runtime's own optimizations, or the batch, move this model's output that far)`
      : '';
  notes.push(
    info(
      'verified',
      `Verified: the emitted model gave ${compared} answers as heads and policy do by hand${exact}${coarse}.`,
    ),
  );
  return notes;
}
