/** States of a training on disk: each one file that is there whole or not at all, and is not believed once it was changed. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { replaceFile, sealed, unsealed, writing } from '../cache/files.ts';
import type { LossCurve } from '../train/loss-curve.ts';
import type { StepperState } from '../train/stepper.ts';

/** Share of samples that the student gets right after `step` steps. */
export interface AccuracyAt {
  readonly step: number;
  readonly accuracy: number;
}

/** A place on the way. */
export interface Point {
  readonly state: StepperState;
  /** Running mean of the loss. */
  readonly mean: number;
}

/** Where a training is, and all that its next steps depend on. */
export interface Checkpoint {
  readonly now: Point;
  /** From here training is taken up when it diverges. */
  readonly good: Point;
  /** The step from which on the learning rate is halved, because training had diverged. */
  readonly halvedAt?: number | undefined;
  /** The loss of the first step. */
  readonly first: number;
  readonly curve: LossCurve;
  readonly accuracies: readonly AccuracyAt[];
  /** Measured because training ends here, which is no step at which it would be otherwise. */
  readonly last?: AccuracyAt | undefined;
  /** Work so far, interruptions left out; no number but the length of a training depends on it. */
  readonly seconds: number;
}

/** Of one point: what the numbers behind the header are. */
interface PointHeader {
  readonly mean: number;
  readonly steps: number;
  readonly values: readonly { readonly name: string; readonly length: number }[];
}

type Header = Omit<Checkpoint, 'now' | 'good'> & {
  readonly now: PointHeader;
  readonly good: PointHeader;
  /** sha256 of the numbers. */
  readonly numbers: string;
};

const LENGTH_BYTES = 4;

/** Replaces `path`: the header's length (uint32), the header, a sealed JSON text, and all float32 values. Throws `disk-full`, `cache-unwritable`. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { now, good, ...rest } = checkpoint;
  const arrays = [now, good].flatMap(({ state }) => Object.values(state.values));
  const numbers = Buffer.concat(arrays.map((a) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)));
  const facts: Header = { ...rest, now: headerOf(now), good: headerOf(good), numbers: sha256(numbers) };
  const text = Buffer.from(sealed(facts));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.length);
  await writing(path, () => replaceFile(path, Buffer.concat([length, text, numbers])));
}

/** What `writeCheckpoint` wrote; undefined where there is no file or a changed one. */
export async function readCheckpoint(path: string): Promise<Checkpoint | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes || bytes.length < LENGTH_BYTES) return undefined;
  const end = LENGTH_BYTES + bytes.readUInt32LE(0);
  const header = unsealed<Header>(bytes.subarray(LENGTH_BYTES, end).toString());
  const numbers = bytes.subarray(end);
  if (!header || header.numbers !== sha256(numbers)) return undefined;
  const floats = new Float32Array(new Uint8Array(numbers).buffer);
  let at = 0;
  const take = ({ mean, steps, values }: PointHeader): Point => {
    const taken = values.map(({ name, length }) => {
      at += length;
      return [name, floats.slice(at - length, at)];
    });
    return { mean, state: { steps, values: Object.fromEntries(taken) } };
  };
  const { numbers: _, now, good, ...rest } = header;
  return { ...rest, now: take(now), good: take(good) };
}

const headerOf = ({ mean, state: { steps, values } }: Point): PointHeader => ({
  mean,
  steps,
  values: Object.entries(values).map(([name, { length }]) => ({ name, length })),
});

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
