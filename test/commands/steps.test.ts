/** The five steps that compile and calibrate end in, each by itself. */

import { cpSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_GOALS, type Goals } from '../../src/calibrate/goals.ts';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { type CompileContext, openProject, withSplits } from '../../src/commands/project.ts';
import { type ReadyExits, trainExits, trainingSplits } from '../../src/commands/ready-exits.ts';
import { reportedSamples } from '../../src/commands/steps/calibrated.ts';
import { choosePoints } from '../../src/commands/steps/choose-points.ts';
import { choosePolicy } from '../../src/commands/steps/choose-policy.ts';
import { describeAndWrite } from '../../src/commands/steps/describe-and-write.ts';
import { lowerAndVerify } from '../../src/commands/steps/lower-and-verify.ts';
import { measureLatency } from '../../src/commands/steps/measure-latency.ts';
import { samplesWithin } from '../../src/data/index.ts';
import type { Note } from '../../src/errors/notes.ts';
import { npy } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';
import { tinyProject } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('the five steps');
const { at, model, writeSamples, compileOptions, remove } = tinyProject('steps', { epochs: 1 });
const options = compileOptions('unused');

test.before(() => writeSamples({ train: 300, calibration: 200, test: 60 }));
test.after(remove);

/** Exits that are trained, once for each call. */
const withExits = async <T>(
  goals: Goals,
  use: (context: CompileContext, exits: ReadyExits, notes: string[]) => Promise<T>,
): Promise<T> => {
  const notes: string[] = [];
  return await withSplits(
    await openProject(options),
    options,
    { onNote: (note) => void notes.push(note.message) },
    async (context) =>
      use(
        context,
        await trainExits(context, goals, await trainingSplits(context), {
          training: { recipe: 'distill', epochs: 1, batch: 64 },
        }),
        notes,
      ),
  );
};

test('a policy is chosen without the samples that a drop is promised on', async () => {
  const goals: Goals = { ...DEFAULT_GOALS, policy: 'gain', maxAccuracyDrops: [0.3], confidence: 0.9 };
  await withExits(goals, async (context, exits) => {
    const { policy, searched, promise, comparison } = await choosePolicy(context, exits, goals);
    assert.is(policy.policy, 'gain');
    assert.ok(policy.parameters.weight!.length > 0);
    assert.is(comparison, undefined);
    const whole = exits.calibration.dataset;
    const [a, b] = [samplesWithin(searched.dataset, whole)!, samplesWithin(promise!, whole)!];
    assert.is(a.length + b.length, whole.size);
    assert.is(new Set([...a, ...b]).size, whole.size);
    const { points, promises, defaultPoint } = await choosePoints(context, exits, goals, {
      policy,
      searched,
      promise,
      comparison,
      unseen: (await choosePolicy(context, exits, goals)).unseen,
    });
    assert.equal([...promises.keys()], ['drop-0.3']);
    assert.is(promises.get('drop-0.3')!.samples, promise!.size);
    assert.is(defaultPoint.name, 'balanced');
    assert.ok(points.every(({ thresholds }) => thresholds.length === exits.heads.length));
  });
});

test('best that is not there is exact, and is said', async () => {
  const goals: Goals = { ...DEFAULT_GOALS, at: 'best', target: 'agreement' };
  await withExits(goals, async (context, exits, notes) => {
    const { defaultPoint } = await choosePoints(
      context,
      exits,
      goals,
      await choosePolicy(context, exits, goals),
    );
    assert.is(defaultPoint.name, 'exact');
    assert.ok(notes.some((note) => /exact stands in for best/.test(note)));
  });
});

test('a point is built in, timed, described and written; a folder with files in it is refused', async () => {
  const goals: Goals = { ...DEFAULT_GOALS, thresholds: 'baked', at: 'fast' };
  await withExits(goals, async (context, exits) => {
    const chosen = await choosePolicy(context, exits, goals);
    const points = await choosePoints(context, exits, goals, chosen);
    const reported = await reportedSamples(context, exits, chosen);
    assert.ok(reported.isTest);
    const emitted = await lowerAndVerify(context, { exits, goals, chosen, points, reported });
    assert.equal(emitted.baked, points.defaultPoint.thresholds);
    assert.equal(emitted.dropped, []);

    const latency = await measureLatency(context, { exits, goals, chosen, points, reported }, emitted);
    assert.equal([...latency.keys()], ['baseline', 'fast']);

    const calibrated = { exits, goals, chosen, points, reported };
    const findings = { emitted, latency };
    const origin = {
      source: { file: 'tiny-net.onnx' },
      seed: 1,
      recipe: 'distill',
      labels: undefined,
      preprocessing: context.preprocessing,
    };
    const write = { origin, tokenizer: undefined, out: at('written'), force: false, report: false };
    const { manifest, shown } = await describeAndWrite(context, calibrated, findings, write);
    assert.is(manifest.outputs.thresholds, null);
    assert.ok(shown.some(({ name }) => name === 'fast'));
    const files = readdirSync(at('written'));
    assert.ok(files.includes('model.onnx') && files.includes('heads.onnx') && !files.includes('report.html'));
    await rejectsWith('output-not-empty', () => describeAndWrite(context, calibrated, findings, write));
    assert.ok(!existsSync(at('written.tmp')));
  });
});

test('heads that answer otherwise than the exits did are found out', async () => {
  await withExits(DEFAULT_GOALS, async (context, exits) => {
    const goals = DEFAULT_GOALS;
    const chosen = await choosePolicy(context, exits, goals);
    const points = await choosePoints(context, exits, goals, chosen);
    const reported = await reportedSamples(context, exits, chosen);
    const wrong = exits.heads.map((head) => ({
      ...head,
      graph: {
        ...head.graph,
        initializers: head.graph.initializers.map((tensor) => ({
          ...tensor,
          bytes: tensor.bytes.map((byte, i) => (i % 4 === 3 ? byte ^ 0x80 : byte)),
        })),
      },
    }));
    await rejectsWith('emitted-model-differs', () =>
      lowerAndVerify(context, { exits: { ...exits, heads: wrong }, goals, chosen, points, reported }),
    );
  });
});

test('calibrate too warns of an original that only guesses on the data it is given', async () => {
  await compile(compileOptions('compiled'));
  const { pixels, labels } = await tinySamples(model, 150, 9);
  const wrong = labels.map((label) => (label + 1) % 5);
  const arrays = {
    'x.npy': npy('|u1', [150, 8, 8, 3], pixels),
    'y.npy': npy('<i4', [150], new Uint8Array(wrong.buffer)),
  };
  writeFileSync(at('strange.npz'), zipSync(arrays));
  cpSync(at('compiled'), at('again'), { recursive: true });
  const notes: string[] = [];
  const asked = { folder: at('again'), model, cache: at('cache'), report: false, timing: false };
  const onNote = (note: Note) => void notes.push(note.message);
  await calibrate({ ...asked, calibration: at('strange.npz') }, { onNote });
  assert.ok(
    notes.some((note) => /hardly better than guessing/.test(note)),
    notes.join('\n'),
  );
});

test.run();
