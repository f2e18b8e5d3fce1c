/** From a form to a network with its first weights. */
import { noInnerExit, studentUnlike } from '../errors/index.ts';
import { bindDims, countMacs } from '../graph/infer.ts';
import type { Graph } from '../graph/types.ts';
import type { HeadKind } from '../passes/exits.ts';
import { buildHead, headMacs } from '../passes/heads.ts';
import { BLOCK } from '../passes/layers.ts';
import { type Part, partsOf } from './input-parts.ts';
import { convolveMap } from './maps.ts';
import {
  type Family,
  MAP_FAMILIES,
  type Student,
  type StudentExit,
  type StudentForm,
  type StudentReads,
  TOKEN_FAMILIES,
  VECTOR_FAMILIES,
} from './student.ts';
import { type Place, StudentBuilder } from './student-builder.ts';
import { readTokens } from './tokens.ts';

export interface StudentOptions {
  /** How many answers it gives, its end included; 1 by default. */
  readonly exits?: number;
  /** Family of the heads of its inner exits; `pool` by default. */
  readonly head?: HeadKind;
}

/** Families by the kind of input, the usual one first. */
const FAMILIES_FOR = {
  map: MAP_FAMILIES,
  tokens: TOKEN_FAMILIES,
  vector: VECTOR_FAMILIES,
} as const satisfies Record<Part['kind'], readonly Family[]>;

/** Families that students of `reads` can be of, the usual one first. */
export function familiesFor(reads: StudentReads): readonly Family[] {
  return [...new Set(partsOf(reads).flatMap(({ kind }) => FAMILIES_FOR[kind]))];
}

/**
 * A student of `form` for `reads`; same seed, same bytes. Of several inputs each is read by its kind: by `form.family` where that suits it, else by the
 * usual family of its kind. Inner exits are where the student's MACs are cut most evenly. Throws `student-unlike` when the family suits no
 * input, `no-inner-exit` when the student has too few places for the exits.
 */
export function buildStudent(
  reads: StudentReads,
  form: StudentForm,
  seed: number,
  options: StudentOptions = {},
): Student {
  const { graph, places } = writeStudent(reads, form, seed);
  const macs = studentMacs(graph);
  return { form, graph, macs, exits: innerExits(graph, places, macs, reads.classes, seed, options) };
}

/** MACs a sample of `graph`. */
export const studentMacs = (graph: Graph): number => countMacs(bindDims(graph, { N: 1 }));

/** The student's graph, without weights when `seed` is undefined, and where its inner exits can go: nowhere when it reads several things apart. */
export function writeStudent(
  reads: StudentReads,
  form: StudentForm,
  seed: number | undefined,
): { readonly graph: Graph; readonly places: readonly Place[] } {
  const families = familiesFor(reads);
  if (!families.includes(form.family)) throw studentUnlike(form.family, families, reads.inputs);
  const b = new StudentBuilder(seed);
  for (const { name, dataType, dims } of reads.inputs) b.input(name, dataType, ['N', ...dims]);
  const parts = partsOf(reads);
  const read = parts.map((part, i) =>
    readPart(b, parts.length > 1 ? `part${i + 1}/` : '', part, form, reads),
  );
  const [vector, width] = joined(b, read, form);
  const logits = b.linear('classifier', vector, width, reads.classes, 0.1, b.fresh('logits'));
  b.output(logits, 'float', ['N', reads.classes]);
  const graph = b.build(`student_${form.family}`);
  const used = new Set(graph.nodes.flatMap((node) => node.inputs));
  const places = parts.length > 1 ? [] : b.places;
  return { graph: { ...graph, inputs: graph.inputs.filter(({ name }) => used.has(name)) }, places };
}

/** [N, F]: what a student of `form` makes of `part`. */
function readPart(
  b: StudentBuilder,
  layer: string,
  part: Part,
  form: StudentForm,
  reads: StudentReads,
): Place {
  const of = <F extends Family>(families: readonly [F, ...F[]]) => ({
    ...form,
    family: families.find((family) => family === form.family) ?? families[0],
  });
  switch (part.kind) {
    case 'map':
      return convolveMap(b, layer, part, of(MAP_FAMILIES));
    case 'tokens':
      return readTokens(b, layer, part, of(TOKEN_FAMILIES), reads.embedding);
    case 'vector': {
      const units = BLOCK * form.width;
      const vector = b.readVector(layer, part);
      return b.hidden(layer, vector.value, vector.dims[0]!, units, form.depth);
    }
  }
}

/** What the classifier reads, and its width: of several parts, a layer that has seen all of them. */
function joined(b: StudentBuilder, read: readonly Place[], { width }: StudentForm): [string, number] {
  const size = read.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const [first, ...others] = read.map(({ value }) => value);
  if (others.length === 0) return [first!, size];
  const all = b.op('Concat', [first!, ...others], { axis: 1 });
  const units = BLOCK * width;
  return [b.hidden('joined/', all, size, units, 1).value, units];
}

function innerExits(
  graph: Graph,
  places: readonly Place[],
  macs: number,
  classes: number,
  seed: number,
  { exits = 1, head: kind = 'pool' }: StudentOptions,
): StudentExit[] {
  if (exits - 1 > places.length) throw noInnerExit(exits, places.length + 1);
  let left = exits > 1 ? places.map((place) => ({ ...place, prefixMacs: prefixMacs(graph, place) })) : [];
  return Array.from({ length: exits - 1 }, (_, i) => {
    const wanted = ((i + 1) / exits) * macs;
    const gap = (at: number) => Math.abs(left[at]!.prefixMacs - wanted);
    // As many are left for the exits behind this one as they need.
    const free = [...Array(left.length - (exits - 2 - i)).keys()];
    const at = free.reduce((best, next) => (gap(next) < gap(best) ? next : best));
    const place = left[at]!;
    left = left.slice(at + 1);
    const head = buildHead(kind, place.dims, classes, { seed: seed + i + 1, dropout: 0 });
    return { ...place, kind, head, headMacs: headMacs(head) };
  });
}

const prefixMacs = (graph: Graph, { value, dims }: Place): number =>
  studentMacs({
    ...graph,
    outputs: [{ name: value, type: { dataType: 'float', dims: ['N', ...dims] } }],
  });
