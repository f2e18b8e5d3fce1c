/** Facts from trial runs: every value of a model at one batch size, or at two. */

import { messageOf, OfframpError, trialRunFailed } from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { dependents } from '../graph/walk.ts';
import { relativeGap } from '../ort/gap.ts';
import type { Outputs, Session, Tensor } from '../ort/session.ts';
import { dataTypeOf, numbersOf } from '../ort/tensors.ts';
import type { Fact } from '../passes/exits.ts';
import { feedsOf, type InputSlot } from './random-inputs.ts';

export interface Observed {
  readonly values: ReadonlyMap<string, Fact>;
  /** How far a sample's value moves with the batch around it, relative to the value's largest element. */
  deviation(value: string): number;
  /** Whether all numbers of a value were finite. */
  isFinite(value: string): boolean;
}

/** Initializers and inputs join what the runs showed. */
function withStatics(
  model: Model,
  slots: readonly InputSlot[],
  sampleInputs: readonly string[],
  values: Map<string, Fact>,
): ReadonlyMap<string, Fact> {
  for (const t of model.graph.initializers) {
    values.set(t.name, { dataType: t.dataType, dims: t.dims, batchAxis: undefined });
  }
  for (const s of slots) {
    const dims = s.dims.map((d) => (d === 'N' ? 1 : d));
    const batchAxis = sampleInputs.includes(s.name) ? 0 : undefined;
    values.set(s.name, { dataType: s.dataType, dims, batchAxis });
  }
  return values;
}

/** Runs every value that can be fetched. Throws `trial-run-failed`, `unsupported-type`. */
async function runOn(
  session: Session,
  slots: readonly InputSlot[],
  picks: readonly number[],
): Promise<Outputs> {
  const feeds = feedsOf(slots, picks);
  try {
    return await session.run(feeds);
  } catch (error) {
    if (!(error instanceof OfframpError) || error.code === 'unsupported-type') throw error;
    const inputs = Object.entries(feeds).map(
      ([name, { type, dims }]) => `${name} ${dataTypeOf(type)} [${dims.join(', ')}]`,
    );
    throw trialRunFailed(inputs, messageOf(error.cause ?? error), error);
  }
}

export async function observeFixed(
  session: Session,
  model: Model,
  slots: readonly InputSlot[],
  sampleInputs: readonly string[],
): Promise<Observed> {
  const outputs = await runOn(session, slots, [0]);
  const sampled = dependents(
    model.graph,
    slots.map((s) => s.name),
  );
  const values = new Map<string, Fact>();
  for (const [name, { type, dims }] of Object.entries(outputs)) {
    const batchAxis = sampled.has(name) && dims.length >= 2 && dims[0] === 1 ? 0 : undefined;
    values.set(name, { dataType: dataTypeOf(type), dims, batchAxis });
  }
  return {
    values: withStatics(model, slots, sampleInputs, values),
    deviation: () => 0,
    isFinite: (value) => hasNumbers(outputs[value]),
  };
}

/** Sample 0 stands behind sample 2 here, and before it among all three: a model that mixes samples in one direction only moves one of them. */
const PAIR = [2, 0];

export async function observeDynamic(
  session: Session,
  model: Model,
  slots: readonly InputSlot[],
  sampleInputs: readonly string[],
): Promise<Observed> {
  const two = await runOn(session, slots, PAIR);
  const three = await runOn(session, slots, [0, 1, 2]);
  const sampled = dependents(
    model.graph,
    slots.map((s) => s.name),
  );
  const values = new Map<string, Fact>();
  for (const name of Object.keys(two)) {
    const fact = compareRuns(two[name]!, three[name]!, sampled.has(name));
    if (fact) values.set(name, fact);
  }
  return {
    values: withStatics(model, slots, sampleInputs, values),
    deviation: (value) => rowDeviation(two[value], three[value]),
    isFinite: (value) => hasNumbers(three[value]),
  };
}

/** The fact about one value from its tensors at batch 2 and 3; undefined for what is no tensor. */
function compareRuns(two: Tensor, three: Tensor, sampled: boolean): Fact | undefined {
  if (!two.dims || !three.dims) return undefined;
  const dataType = dataTypeOf(two.type);
  const moving = two.dims.flatMap((d, axis) => (d === three.dims[axis] ? [] : [axis]));
  const axis = moving[0];
  if (two.dims.length !== three.dims.length || moving.length > 1) {
    return {
      dataType,
      dims: two.dims,
      batchAxis: undefined,
      batchTrouble: 'its shape follows the batch in several axes',
    };
  }
  if (axis === undefined) {
    const same = !sampled || sameContents(two, three);
    return {
      dataType,
      dims: two.dims,
      batchAxis: undefined,
      ...(same ? {} : { batchTrouble: 'it mixes samples or holds the batch size' }),
    };
  }
  const dims = two.dims.map((d, i) => (i === axis ? Math.max(1, three.dims[i]! - d) : d));
  if (two.dims[axis] !== 2 || three.dims[axis] !== 3) {
    return {
      dataType,
      dims,
      batchAxis: undefined,
      batchTrouble: `axis ${axis} is not N but ${two.dims[axis]} at N = 2`,
    };
  }
  return { dataType, dims, batchAxis: axis };
}

const hasNumbers = (tensor: Tensor | undefined): boolean =>
  tensor === undefined || (numbersOf(tensor)?.every(Number.isFinite) ?? true);

function sameContents(a: Tensor, b: Tensor): boolean {
  const x = a.data as ArrayLike<unknown>;
  const y = b.data as ArrayLike<unknown>;
  return x.length === y.length && Array.prototype.every.call(x, (v, i) => Object.is(v, y[i]));
}

/** How far the samples `PAIR` of `two` are from the same ones among the three of `three`, in numbers of any type, relative to the largest. */
function rowDeviation(two: Tensor | undefined, three: Tensor | undefined): number {
  const [a, b] = [two && numbersOf(two), three && numbersOf(three)];
  if (!a || !b) return 0;
  const width = b.length / 3;
  const expected = new Float64Array(a.length);
  for (const [i, sample] of PAIR.entries())
    expected.set(b.subarray(sample * width, (sample + 1) * width), i * width);
  return relativeGap(expected, a);
}
