/** What a compile grows: students, settled by its options, the model, and how many training samples there are; never by a clock. */
import { isDeepStrictEqual } from 'node:util';
import { studentTooLarge } from '../errors/index.ts';
import { info, type Note } from '../errors/notes.ts';
import { findLostOutputs } from '../passes/cut-segments.ts';
import type { Head } from '../passes/exits.ts';
import type { Augment } from '../students/augment.ts';
import { familiesFor } from '../students/build-student.ts';
import { EFFORT, type Effort, LARGEST_SHARE, LEAST_MACS } from '../students/effort.ts';
import type { ExitLoss } from '../students/exit-losses.ts';
import { findEmbedding } from '../students/find-embedding.ts';
import { partsOf } from '../students/input-parts.ts';
import type { TeacherMode } from '../students/picture-source.ts';
import { sizeStudent, smallestShare } from '../students/size-student.ts';
import type { Family, Student, StudentReads } from '../students/student.ts';
import { type HeadOptions, saysOfHeads } from './head-options.ts';
import type { StudentReader } from './open-student.ts';

/** Options about students. */
export interface GrowthOptions {
  /** Students to grow, each by its share of the original's MACs. */
  readonly student?: readonly number[];
  /** How much to grow, where nobody says which students; `medium` by default. */
  readonly effort?: Effort;
  /** What students look like; by default what suits the input. */
  readonly studentFamily?: Family;
  /** How many answers each student gives, its end included; 1 by default. They are trained together. */
  readonly studentExits?: number;
  /** The loss that the exits of a student share; `branchynet` by default. */
  readonly studentLoss?: ExitLoss;
  /** Passes over the training samples; by default those of `effort`. */
  readonly studentEpochs?: number;
  /** How training pictures are varied; by default as the data allow. */
  readonly augment?: Augment;
  /** Whether the original answers the plain and the mirrored picture once, or every view anew; `cached` by default. */
  readonly teacher?: TeacherMode;
  /** Training of each student ends after so many minutes; the manifest says at which step. */
  readonly maxMinutes?: number;
  /** Training of each student ends after so many steps. */
  readonly steps?: number;
  /** Most that cached features, and the original's cached answers, may take together, in bytes; 8 GB by default. */
  readonly cacheLimit?: number;
}

/** Options that ask for students. */
export const OF_STUDENTS = [
  ...(['studentFamily', 'studentExits', 'studentLoss', 'studentEpochs'] as const),
  ...(['augment', 'teacher', 'maxMinutes', 'steps'] as const),
];

/** Students that are wanted. */
export interface WantedGrowth {
  /** Of the original's MACs, smallest first. */
  readonly shares: readonly number[];
  /** It was said how large they are; else they are no smaller than they can be. */
  readonly sized: boolean;
  readonly family?: Family | undefined;
  /** Of each student, its end included. */
  readonly exits?: number | undefined;
  /** Nobody asked for these: they are grown where the model and the data are such that they pay. */
  readonly byDefault: boolean;
}

/** Students of a project. */
export interface Growth {
  /** By the ids of their networks, smallest first. */
  readonly students: ReadonlyMap<string, { readonly student: Student; readonly share: number }>;
  readonly byDefault: boolean;
  /** Heads of the original that are trained where no student comes of it. */
  readonly instead?: readonly Head[] | undefined;
}

/** Passes of each student over the training samples. */
export const epochsOf = ({ effort = 'medium', studentEpochs }: GrowthOptions): number =>
  studentEpochs ?? EFFORT[effort].epochs;

/** Options that matter to what is grown. */
interface Others {
  readonly first?: readonly unknown[];
  readonly exitOutputs?: readonly string[] | undefined;
  readonly train?: string | undefined;
}

/**
 * The students that `options` ask for. Where they say nothing of students, of heads or of other networks, `medium` effort is meant; what they say
 * of heads or other networks asks for those, and for students only where `effort` or an option of students does.
 */
export function wantedGrowth(options: GrowthOptions & HeadOptions & Others): WantedGrowth | undefined {
  const { student, effort, studentFamily: family, studentExits: exits, first, exitOutputs, train } = options;
  const shares = (student ?? EFFORT[effort ?? 'medium'].shares).toSorted((a, b) => a - b);
  const saysOther = saysOfHeads(options) || first?.length || exitOutputs;
  const isSized = student !== undefined;
  const isAsked = isSized || effort !== undefined || OF_STUDENTS.some((name) => options[name] !== undefined);
  if (shares.length === 0 || ((saysOther || train === undefined) && !isAsked)) return undefined;
  return { shares, sized: isSized, family, exits, byDefault: !isAsked };
}

interface PlanGrowthOptions {
  readonly seed: number;
  readonly dropOutputs: boolean;
  /** Names of the files of other networks: no student is called like one of them. */
  readonly taken: readonly string[];
}

/**
 * Untrained students for `original`; those of texts read the original's own embedding where they can. A note where nobody asked for them and they
 * would not pay. Throws what `sizeStudent` throws.
 */
export async function planGrowth(
  { shares, sized, family, exits, byDefault }: WantedGrowth,
  original: StudentReader,
  { seed, dropOutputs, taken }: PlanGrowthOptions,
): Promise<{ readonly growth?: Growth; readonly note?: Note }> {
  const { inspection, inputs, preprocessing } = original;
  const { typed, plan, source } = inspection;
  const embedding = await findEmbedding(typed.model.graph, source.folder);
  const reads = { inputs, preprocessing, classes: typed.classes, embedding };
  const why =
    byDefault && (unfit(reads, plan.totalMacs, family) ?? (dropOutputs ? undefined : losing(original)));
  if (why) return { note: info('no-student', `No student is grown, heads are trained: ${why}.`) };
  const least = sized ? 0 : leastShare(reads, plan.totalMacs, family);
  // Sized ones are refused by `sizeStudent`.
  if (least >= 1) throw studentTooLarge(shares[0]!, least, family);
  const form = { ...(family && { family }), ...(exits && { exits }) };
  const grown: { readonly share: number; readonly student: Student }[] = [];
  for (const share of shares.map((each) => Math.max(each, least))) {
    // The seed counts students that are grown: a compile that names only these gives the same bytes.
    const student = sizeStudent(reads, share, plan.totalMacs, seed + grown.length, form);
    // Forms come in steps: two shares may have the same.
    if (!isDeepStrictEqual(student.form, grown.at(-1)?.student.form)) grown.push({ share, student });
  }
  const students = new Map(freeNames(taken, grown.length).map((id, n) => [id, grown[n]!]));
  const growth = { growth: { students, byDefault } };
  if (grown.length === shares.length) return growth;
  const one = grown.length === 1 ? 'one is' : `${grown.length} are`;
  const alike = `of the ${shares.length} students of ${shares.join(', ')} of the original some would be the same network`;
  return { ...growth, note: info('students-alike', `Only ${one} grown: ${alike}.`) };
}

/** The smallest share where nobody says one: of the usual family where that may pay, else of any. */
function leastShare(reads: StudentReads, macs: number, family: Family | undefined): number {
  const usual = smallestShare(reads, macs, family);
  if (family !== undefined || usual <= LARGEST_SHARE) return usual;
  return Math.min(...familiesFor(reads).map((each) => smallestShare(reads, macs, each)));
}

/** `student_1`, `student_2` and so on, without those that are `taken`. */
function freeNames(taken: readonly string[], count: number): string[] {
  const all = Array.from({ length: count + taken.length }, (_, n) => `student_${n + 1}`);
  return all.filter((id) => !taken.includes(`${id}.onnx`)).slice(0, count);
}

/** Why a student would not pay, by the original alone. */
function unfit(reads: StudentReads, macs: number, family: Family | undefined): string | undefined {
  if (macs < LEAST_MACS)
    return `the original has ${(macs / 1e6).toFixed(1)} M MACs, under ${LEAST_MACS / 1e6} M there is little to save`;
  const isPicture = partsOf(reads).every((part) => part.kind === 'map' && Math.min(...part.size) > 1);
  if (!isPicture) return 'its input is no picture (`student` asks for one all the same)';
  const least = smallestShare(reads, macs, family);
  return least > LARGEST_SHARE
    ? `the smallest student takes ${(100 * least).toFixed(1)} % of its MACs (\`student\` asks for it all the same)`
    : undefined;
}

/** Why a network in front would take something away that heads leave. */
function losing({ inspection: { typed, plan } }: StudentReader): string | undefined {
  const taps = plan.exits.map(({ tap }) => tap.value);
  const lost = findLostOutputs(typed, [], true).filter(
    (name) => !findLostOutputs(typed, taps).includes(name),
  );
  return lost.length === 0
    ? undefined
    : `the output ${lost[0]} is computed only where a sample goes all the way`;
}
