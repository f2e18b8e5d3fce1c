/** Students: small networks that Offramp builds, trains from the original's answers, and puts in front of it. */
import type { InputSpec, Preprocessing } from '../data/index.ts';
import type { Graph, Tensor } from '../graph/types.ts';
import type { HeadKind } from '../passes/exits.ts';

/** How the original looks its tokens up. */
export interface Embedding {
  /** The input of token ids. */
  readonly input: string;
  /** How many tokens there are. */
  readonly vocabulary: number;
  /** [vocabulary, D] float or float16, bytes inside, which students read as it is; without it they learn a small one of their own. */
  readonly table?: Tensor | undefined;
}

/** What a student is built for: the original's inputs and classes. */
export interface StudentReads {
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  readonly classes: number;
  /** Without it `input_ids` are still tokens: as nobody knows how many there are, they share rows by their remainder. */
  readonly embedding?: Embedding | undefined;
}

/** For maps: pictures, and signals, which are maps of one row. */
export const MAP_FAMILIES = ['wide', 'narrow', 'separable', 'patches'] as const;
export const TOKEN_FAMILIES = ['bag', 'conv'] as const;
export const VECTOR_FAMILIES = ['mlp'] as const;
export const FAMILIES = [...MAP_FAMILIES, ...TOKEN_FAMILIES, ...VECTOR_FAMILIES] as const;
export type Family = (typeof FAMILIES)[number];

export interface StudentForm {
  readonly family: Family;
  /** In blocks of 16: channels of the first stage, or hidden units. */
  readonly width: number;
  /** Residual blocks a stage; convolutions, or hidden layers, of families without stages. */
  readonly depth: number;
}

/** An exit inside a student: a value of its graph, and a head on it (`buildHead`), in training form. */
export interface StudentExit {
  readonly value: string;
  /** Of one sample: [C, ...size] of a map, [F] of a vector. */
  readonly dims: readonly number[];
  /** MACs a sample of all that the value depends on. */
  readonly prefixMacs: number;
  readonly kind: HeadKind;
  readonly head: Graph;
  readonly headMacs: number;
}

/**
 * A graph from the original's inputs [N, ...dims], in their types, to one output of class scores, `logits` [N, classes]; in training form
 * (BatchNormalization unfolded), first weights inside. Inputs of the original that it does not read (types of tokens, say) are not among its
 * inputs. What training may change is named `…/weight`, `…/bias`, `…/scale`; running statistics are `…/mean` and `…/var`.
 */
export interface Student {
  readonly form: StudentForm;
  readonly graph: Graph;
  /** A sample, without inner exits. */
  readonly macs: number;
  /** Inner ones, in the order samples meet them; usually none. */
  readonly exits: readonly StudentExit[];
}
