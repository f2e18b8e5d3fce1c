import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, resolvePreprocessing } from '../../src/data/index.ts';
import { inputsOf } from '../../src/data/splits.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { outcomesAt } from '../../src/predict/outcomes.ts';
import { type Predictions, predict, rowsOf } from '../../src/predict/predict.ts';
import { verifyEmitted } from '../../src/predict/verify.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { prepare } from '../passes/by-hand.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('prove equal');
const { at, writeSamples, remove } = tinyProject('prove');
const MOVED = 1e-3;
const every = (count: number) => Int32Array.from({ length: count }, (_, i) => i);

/** Emitted and judged by hand, then the answers of the first head by hand moved by `MOVED` of the largest logit. */
async function moved() {
  const { typed, heads } = await prepare(tinyResidual());
  const inputs = inputsOf(typed);
  const dataset = await openDataset(at('test.npz'), {
    inputs,
    preprocessing: resolvePreprocessing({ preset: 'unit' }, inputs),
    cache: at('cache'),
    classes: typed.classes,
    split: 'test',
  });
  const options = { typed, modelHash: 'tiny', session: { threads: 1 } };
  const predictions = await predict(heads, dataset, options);
  const largest = Math.max(...predictions.original.map(Math.abs), ...predictions.logits[0]!.map(Math.abs));
  const shifted: Predictions = {
    ...predictions,
    logits: predictions.logits.map((all, k) => (k === 0 ? all.map((v) => v + MOVED * largest) : all)),
  };
  const verification = {
    model: serializeModel(lowerExits(typed, heads, { policy: 'max-prob' })),
    typed,
    networks: [{ typed, heads }],
    dataset,
    outcomes: outcomesAt(shifted, { policy: 'max-prob', parameters: {} }),
    predictions: shifted,
    thresholds: [[0.3, 1, 1]],
    baked: false,
    session: { threads: 1 },
    effort: 'some',
  } as const;
  const rows = (all: Predictions) => async (part: typeof dataset) => rowsOf(all, part.partOf!.samples);
  return { verification, before: rows(predictions), after: rows(shifted) };
}

test.before(() => writeSamples({ test: 60 }));
test.after(remove);

test('an answer that differs from the one by hand is refused', async () => {
  const { verification, after } = await moved();
  const error = await rejectsWith('emitted-model-differs', () =>
    verifyEmitted({ ...verification, predictAlone: after }),
  );
  assert.match(error.message, /scores deviates by \d\.\de-[34] of its largest element/);
});

test('unless answers by hand move as far from one sample a run to many', async () => {
  const { verification, before } = await moved();
  const { compared, deviation, tolerance, unsteady } = await verifyEmitted({
    ...verification,
    predictAlone: before,
  });
  assert.is(compared, 2 * 60 * 5);
  assert.ok(deviation! < 1e-6, `${deviation}`);
  assert.is(tolerance, 1e-5);
  assert.ok(Math.abs(unsteady / MOVED - 2) < 0.02, `${unsteady}`);
});

test('a threshold between the score by hand and that of the model: either way is right, where heads move that far and the original further', async () => {
  const { verification, before } = await moved();
  const { predictions } = verification;
  const steeper = (by: number) => (all: Float32Array) => all.map((v) => v * by);
  const alone = await before({ ...verification.dataset, partOf: { samples: every(60) } } as never);
  const byHand: Predictions = { ...predictions, logits: alone.logits.map(steeper(1 - 10 * MOVED)) };
  const outcomes = outcomesAt(byHand, { policy: 'max-prob', parameters: {} });
  const [[score]] = outcomes().scores as [Float32Array];
  const [[real]] = outcomesAt(alone, { policy: 'max-prob', parameters: {} })().scores as [Float32Array];
  const threshold = Math.fround((score! + real!) / 2);
  assert.ok(score! < threshold && threshold < real! && real! - threshold > 1e-5, `${score} ${real}`);
  const asked = { ...verification, predictions: byHand, outcomes, thresholds: [[threshold, 1, 1]] };
  const error = await rejectsWith('emitted-model-differs', () =>
    verifyEmitted({ ...asked, predictAlone: async (part) => rowsOf(byHand, part.partOf!.samples) }),
  );
  assert.match(error.message, /left at exit 0, by hand it goes all the way/);
  const further = async (part: typeof asked.dataset) => {
    const rows = await before(part);
    return { ...rows, original: rows.original.map((v) => v * (1 + 20 * MOVED)) };
  };
  const { unsteady } = await verifyEmitted({ ...asked, predictAlone: further });
  assert.ok(unsteady > 1e-4);
});

test.run();
