/** Step 5 of 5: the manifest, the package and the report, written together. */

import { closesAll, isNamed } from '../../calibrate/index.ts';
import { summaryOf } from '../../data/splits.ts';
import { type Described, describeCompiled, type Origin, sealed } from '../../emit/describe.ts';
import { HEADS_FILE, REPORT_FILE, TOKENIZER_FILE } from '../../emit/file-names.ts';
import type { KeptTokenizer } from '../../emit/keep-tokenizer.ts';
import type { Manifest, OperatingPoint } from '../../emit/manifest.ts';
import { printManifest } from '../../emit/manifest-json.ts';
import { withMetadata } from '../../emit/metadata.ts';
import { emitPackage } from '../../emit/stub.ts';
import { type Content, writeOutput } from '../../emit/write.ts';
import { optionText } from '../../errors/index.ts';
import { info, type Note, warning } from '../../errors/notes.ts';
import type { Chain } from '../../networks/chain.ts';
import type { Head } from '../../passes/exits.ts';
import { policyOf } from '../../policies/index.ts';
import { argMaxRows } from '../../policies/rows.ts';
import type { Latency } from '../../predict/measure-latency.ts';
import { accuracyOf, type Predictions } from '../../predict/predict.ts';
import {
  aloneFacts,
  asGoodAlone,
  betterAlone,
  leavesAtOne,
  lossesBeyondNames,
  neverPays,
  noTimeSaved,
  unsteadyLatency,
} from '../../report/index.ts';
import { reportCompiled } from '../../report/write-report.ts';
import type { CompileContext } from '../project.ts';
import type { Calibrated } from './calibrated.ts';
import type { Emitted } from './lower-and-verify.ts';

/** What `compile` and `calibrate` return. */
export interface Compiled {
  readonly manifest: Manifest;
  /** The points worth a row: those with a name of their own and those asked for. */
  readonly shown: readonly OperatingPoint[];
}

/** What steps 3 and 4 found. */
export interface Findings {
  readonly emitted: Emitted;
  /** Undefined when nothing was timed. */
  readonly latency: ReadonlyMap<string, Latency> | undefined;
}

export interface WriteOptions {
  /** What the manifest records that no step finds out. */
  readonly origin: Origin;
  /** What texts were encoded by. */
  readonly tokenizer: KeptTokenizer | undefined;
  readonly out: string;
  /** Replace what is there. */
  readonly force: boolean;
  /** Whether to write the report too. */
  readonly report: boolean;
}

/** Writes all files or none (see `writeOutput`). The same arguments give the same bytes; the findings include latencies. */
export async function describeAndWrite(
  context: CompileContext,
  calibrated: Calibrated,
  findings: Findings,
  { origin, tokenizer, out, force, report }: WriteOptions,
): Promise<Compiled> {
  const { exits, reported } = calibrated;
  const described = describe(context, calibrated, findings, origin, tokenizer);
  const model = withMetadata(findings.emitted.model, described);
  const manifest = sealed(described, model);
  for (const note of notesOnCompiled(manifest, calibrated)) context.events.onNote?.(note);
  await writeOutput(
    out,
    new Map<string, Content>([
      ['model.onnx', model],
      ...findings.emitted.files,
      ...studentFiles(context.chain),
      ...(exits.headsFile ? [[HEADS_FILE, exits.headsFile] as const] : []),
      ...(tokenizer ? [[TOKENIZER_FILE, tokenizer.content] as const] : []),
      ['manifest.json', printManifest(manifest)],
      ...emitPackage(manifest),
      ...(report
        ? [[REPORT_FILE, await reportCompiled(manifest, reported.outcomes, reported.dataset)] as const]
        : []),
    ]),
    { force },
  );
  return { manifest, shown: manifest.operatingPoints.filter(({ name }) => isNamed(name)) };
}

/** The files of students, which are nowhere else. */
const studentFiles = ({ networks }: Chain): (readonly [string, Content])[] =>
  networks.flatMap(({ file, reading, source }) => (reading?.grown ? [[file, source.bytes] as const] : []));

function describe(
  { inspection, chain, splits, costs, sessionOptions }: CompileContext,
  { exits, goals, chosen: { policy, comparison }, points, leftOut = [], reported, runtime }: Calibrated,
  { emitted, latency }: Findings,
  origin: Origin,
  tokenizer: KeptTokenizer | undefined,
): Described {
  const { train, validation } = exits.fittedOn;
  return describeCompiled({
    origin,
    tokenizer,
    inspection,
    dropped: emitted.dropped,
    chain,
    leftOut,
    runtime,
    heads: exits.heads,
    accuracies: accuraciesAlone(chain.networks.length - 1, exits.heads, reported.predictions),
    dataFiles: [...emitted.files.keys()],
    kept: exits.headsFile,
    goals,
    training: exits.training,
    policy: policy.policy,
    policyFit: exits.validation &&
      policyOf(policy.policy).fit && {
        parameters: policy.parameters,
        data: summaryOf(exits.validation),
      },
    final: policy.final,
    comparison,
    data: {
      ...(train && { train }),
      ...(validation && { validation }),
      calibration: summaryOf(exits.calibration),
      ...(splits.test && { test: summaryOf(splits.test) }),
    },
    points: points.points,
    defaultPoint: points.defaultPoint.name,
    promises: points.promises,
    costs,
    outcomes: reported.outcomes,
    latency,
    session: sessionOptions,
  });
}

/** [firsts]: accuracy of each network in front by itself, where its end is an exit. */
const accuraciesAlone = (
  firsts: number,
  heads: readonly Head[],
  { logits, labels }: Predictions,
): (number | undefined)[] =>
  Array.from({ length: firsts }, (_, n) => {
    const k = heads.findIndex(({ exit, kind }) => exit.network === n && kind === 'end');
    return k < 0 ? undefined : accuracyOf(argMaxRows(logits[k]!, labels.length), labels);
  });

/** What a user should know before the figures are believed. */
function notesOnCompiled(manifest: Manifest, { points, reported }: Calibrated): Note[] {
  const exactPromises = [...points.promises].filter(([, { thresholds }]) => closesAll(thresholds));
  const { dataset, isTest, outcomes } = reported;
  const slow = noTimeSaved(manifest, optionText('thresholds', 'baked'));
  const unsteady = unsteadyLatency(manifest);
  const beyond = lossesBeyondNames(manifest, outcomes);
  const asGood = asGoodAlone(manifest, aloneFacts(manifest, outcomes));
  const alone = betterAlone(manifest);
  const atOne = leavesAtOne(manifest);
  const never = neverPays(manifest);
  const notes = [
    never && !dataset.random && warning('never-pays', never),
    unsteady && info('latencies-unsteady', unsteady),
    slow && !never && !unsteady && info('no-time-saved', slow),
    beyond && warning('losses-beyond-names', beyond),
    asGood && info('as-good-alone', asGood),
    alone && !dataset.random && info('better-alone', alone),
    atOne && !dataset.random && info('leaves-at-one', atOne),
    ...exactPromises.map(([name, { samples }]) =>
      info(
        'guarantee-is-exact',
        `${name} is exact: nothing cheaper could be certified on ${samples} samples.`,
      ),
    ),
    !isTest &&
      !dataset.random &&
      info(
        'no-test-samples',
        'There are no test samples: the figures are measured on the samples that thresholds were chosen on, and slightly optimistic (`test`).',
      ),
    manifest.labels === undefined &&
      !dataset.random &&
      info(
        'no-class-names',
        `No class names are known, so the package answers with indices: ${optionText('labels', 'names.txt')} gives them.`,
      ),
  ];
  return notes.filter((note) => typeof note === 'object');
}
