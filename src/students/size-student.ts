/** How large a student is: a share of the original's MACs. */
import { studentTooLarge } from '../errors/index.ts';
import {
  buildStudent,
  familiesFor,
  type StudentOptions,
  studentMacs,
  writeStudent,
} from './build-student.ts';
import type { Family, Student, StudentForm, StudentReads } from './student.ts';

export interface SizeOptions extends StudentOptions {
  /** By default the usual one of what `reads` is, or the next that can be small enough and has places for the exits. */
  readonly family?: Family;
}

/** Largest forms that are tried. Of vectors and texts more than this brings nothing, however large the original is. */
const LARGEST: Readonly<Record<Family, Omit<StudentForm, 'family'>>> = {
  wide: { width: 32, depth: 4 },
  narrow: { width: 32, depth: 4 },
  separable: { width: 32, depth: 4 },
  patches: { width: 32, depth: 4 },
  bag: { width: 4, depth: 1 },
  conv: { width: 8, depth: 2 },
  mlp: { width: 16, depth: 2 },
};

/** So many times the MACs a deeper form must have: of two that take as many, the wide one runs faster. */
const WORTH_DEPTH = 1.5;

/**
 * The widest student among those that take at most `share` of the original's `totalMacs`, or a deeper one where that has half as many MACs again.
 * Throws `student-too-large` when the smallest takes more, and what `buildStudent` throws.
 */
export function sizeStudent(
  reads: StudentReads,
  share: number,
  totalMacs: number,
  seed: number,
  options: SizeOptions = {},
): Student {
  const most = share * totalMacs;
  const macsOf = (form: StudentForm) => studentMacs(writeStudent(reads, form, undefined).graph);
  const families = options.family ? [options.family] : familiesFor(reads);
  const small = families.filter((family) => macsOf({ family, width: 1, depth: 1 }) <= most);
  if (small.length === 0) {
    const shares = families.map((family) => smallestShare(reads, totalMacs, family));
    throw studentTooLarge(share, Math.min(...shares), options.family);
  }
  const places = (options.exits ?? 1) - 1;
  const family = small.find((family) => placesIn(reads, family) >= places) ?? small[0]!;
  let best: StudentForm = { family, width: 1, depth: 1 };
  let bestMacs = 0;
  for (let depth = 1; depth <= LARGEST[family].depth; depth++) {
    const form = widest({ family, depth }, most, macsOf);
    if (!form || form.macs < WORTH_DEPTH * bestMacs) continue;
    best = { family, width: form.width, depth };
    bestMacs = form.macs;
  }
  return buildStudent(reads, best, seed, options);
}

/** How many exits fit into a student of `family`, its end left out, where it is as deep as can be. */
const placesIn = (reads: StudentReads, family: Family): number =>
  writeStudent(reads, { family, width: 1, depth: LARGEST[family].depth }, undefined).places.length;

/** The smallest share of the original's `totalMacs` that can be asked for, to three digits; `family` is the usual one by default. */
export function smallestShare(
  reads: StudentReads,
  totalMacs: number,
  family = familiesFor(reads)[0]!,
): number {
  const share = studentMacs(writeStudent(reads, { family, width: 1, depth: 1 }, undefined).graph) / totalMacs;
  const digit = 10 ** (Math.floor(Math.log10(share)) - 2);
  return Number((Math.ceil(share / digit) * digit).toPrecision(3));
}

/** The widest form of `depth` with at most `most` MACs; undefined when it would be too narrow for that depth. */
function widest(
  { family, depth }: Omit<StudentForm, 'width'>,
  most: number,
  macsOf: (form: StudentForm) => number,
): { readonly width: number; readonly macs: number } | undefined {
  let [low, high] = [Math.max(1, depth - 1), LARGEST[family].width];
  let found: { readonly width: number; readonly macs: number } | undefined;
  while (low <= high) {
    const width = Math.floor((low + high) / 2);
    const macs = macsOf({ family, width, depth });
    if (macs <= most) {
      found = { width, macs };
      low = width + 1;
    } else high = width - 1;
  }
  return found;
}
