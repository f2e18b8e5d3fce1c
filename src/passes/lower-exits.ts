/**
 * One graph out of a backbone, its heads and a policy: nested Ifs that really skip computation, sample by sample.
 *
 * At exit k, for the M samples still in play: score the head; `leave = score > threshold[k]`; the others' rows of every
 * live value are gathered, run on in the branch of `If(any continue)`, and scattered back over the head's answers.
 * NaN compares false and therefore goes on. A threshold of 1 or more closes the exit: its head is not even run.
 */
import { nameTaken, opsetTooOld, otherOutputs } from '../errors/index.ts';
import { GraphBuilder, makeValue } from '../graph/builder.ts';
import { inlineGraph } from '../graph/inline.ts';
import { prune } from '../graph/prune.ts';
import { nameNodesApart, renameNode } from '../graph/rename.ts';
import { int64Tensor } from '../graph/tensor.ts';
import type { DataType, Graph, Model, Node, Tensor } from '../graph/types.ts';
import { opsetOf } from '../graph/types.ts';
import { allNames, indexGraph, nodeReads, valueNames } from '../graph/walk.ts';
import { ensembleNodes, withEnsemble } from '../policies/final-answer.ts';
import { type Policy, type PolicyName, type PolicyParameters, policyOf } from '../policies/index.ts';
import { reduceMax } from '../policies/nodes.ts';
import type { DecisionValues } from '../policies/policy.ts';
import { type Cut, cutSegments } from './cut-segments.ts';
import { enterBlockedLayout } from './enter-blocked-layout.ts';
import type { Head, TypedModel } from './exits.ts';
import { runPasses } from './pass.ts';

export const THRESHOLDS = 'thresholds';
export const EXIT_INDEX = 'exit_index';
export const EXIT_CONFIDENCE = 'exit_confidence';

/** What a model must have no other values of. */
export const OWN_NAMES = [THRESHOLDS, EXIT_INDEX, EXIT_CONFIDENCE];

export interface LowerOptions {
  readonly policy: PolicyName;
  /** Of a policy that is fitted. */
  readonly parameters?: PolicyParameters;
  /** Weight of the open exits in the last answer; the original alone when 0 or left out. */
  readonly final?: number | undefined;
  /** Thresholds built into the model instead of the `thresholds` input; a closed exit then vanishes. */
  readonly baked?: readonly number[] | undefined;
  /** Drop outputs that an early exit does not compute, instead of refusing. */
  readonly dropOutputs?: boolean;
  /** Added to the model's metadata_props. */
  readonly metadata?: Readonly<Record<string, string>>;
}

interface ExitSlot {
  readonly head: Head;
  /** What `exit_index` says. */
  readonly index: number;
  readonly threshold: number | undefined;
}

/** The `thresholds` input and, per exit, whether it is open: both [exits]. */
interface Gates {
  readonly thresholds: string;
  readonly areOpen: string;
}

/** What a level of nesting hands to the level around it, for the samples it was given. */
interface Answer {
  readonly logits: string;
  readonly index: string;
  readonly confidence: string;
}

/** The early-exit model. The original's nodes and weights are the same objects, unless a name they read had to change. */
export function lowerExits(typed: TypedModel, heads: readonly Head[], options: LowerOptions): Model {
  return new Lowering(typed, heads, options).run();
}

/**
 * Throws what `lowerExits` would for exits at `taps` (`opset-too-old`, `name-taken`, `other-outputs`), so that nobody
 * trains heads for nothing. Returns the cut.
 */
export function checkLowerable(typed: TypedModel, taps: readonly string[], dropOutputs = false): Cut {
  const opset = opsetOf(typed.model);
  if (typed.batch === 'dynamic' && opset < 11) throw opsetTooOld(opset);
  const taken = valueNames(typed.model.graph);
  for (const name of OWN_NAMES) if (taken.has(name)) throw nameTaken(name);
  const cut = cutSegments(typed, taps);
  if (cut.lostOutputs.length > 0 && !dropOutputs) throw otherOutputs(cut.lostOutputs, typed.output);
  return cut;
}

class Lowering {
  private readonly graph: Graph;
  private readonly slots: readonly ExitSlot[];
  private readonly taken: Set<string>;
  private readonly cut: Cut;
  private readonly opset: number;
  /** Nodes of the original as they are written here. */
  private readonly originals = new Set<Node>();
  /** When thresholds are an input. */
  private gates: Gates | undefined;

  constructor(
    private readonly typed: TypedModel,
    heads: readonly Head[],
    private readonly options: LowerOptions,
  ) {
    this.graph = typed.model.graph;
    this.opset = opsetOf(typed.model);
    this.taken = allNames(this.graph);
    const all = heads.map((head, index) => ({ head, index, threshold: options.baked?.[index] }));
    this.slots = all.filter((slot) => slot.threshold === undefined || slot.threshold < 1);
    const taps = this.slots.map((slot) => slot.head.exit.tap.value);
    this.cut = checkLowerable(typed, taps, options.dropOutputs);
  }

  run(): Model {
    const { model } = this.typed;
    const main = new GraphBuilder('', this.taken);
    if (!this.options.baked) this.gates = this.openGates(main);
    const first = this.slots[0]?.index ?? 0;
    const index = first > 0 ? this.fresh('answer/index') : EXIT_INDEX;
    this.level(0, main, new Map(), undefined, {
      logits: this.slots.length > 0 ? this.typed.logits : this.fresh(`${this.typed.logits}/unused`),
      index,
      confidence: EXIT_CONFIDENCE,
    });
    if (first > 0) main.op('Add', [index, main.int64([first])], {}, EXIT_INDEX);
    main.nodes.push(...this.cut.suffix);
    for (const node of this.cut.suffix) this.originals.add(node);
    const batch = this.graph.inputs.find((v) => v.name === this.typed.sampleInputs[0])?.type?.dims?.[0];
    main.output(EXIT_INDEX, 'int64', [batch]);
    main.output(EXIT_CONFIDENCE, 'float', [batch]);

    const { initializer } = indexGraph(this.graph);
    const inMain = new Set(main.nodes.flatMap((n) => n.outputs));
    const placed = new Set([...this.cut.segments.flat(), ...this.cut.suffix]);
    const dropped = this.graph.nodes.filter((n) => !placed.has(n)).flatMap(nodeReads);
    const read = new Set([...[...placed].flatMap(nodeReads), ...this.graph.outputs.map((v) => v.name)]);
    const gone = new Set(dropped.filter((name) => !read.has(name)));
    const stays = (tensor: Tensor) => this.branchOf(tensor) === undefined && !gone.has(tensor.name);
    const graph: Graph = {
      ...this.graph,
      nodes: main.nodes,
      initializers: [...this.graph.initializers.filter(stays), ...main.initializers],
      inputs: [...this.graph.inputs.filter((v) => !initializer.has(v.name)), ...main.inputs],
      outputs: [...this.graph.outputs.filter((v) => !this.cut.lostOutputs.includes(v.name)), ...main.outputs],
      valueInfo: this.graph.valueInfo.filter((v) => inMain.has(v.name)),
    };
    const metadata = Object.entries(this.options.metadata ?? {}).map(([key, value]) => ({ key, value }));
    return {
      ...model,
      irVersion: Math.max(model.irVersion, model.functionCount > 0 ? 8 : 4),
      graph: runPasses(nameNodesApart(graph, this.originals, this.taken), [enterBlockedLayout]),
      metadataProps: [...model.metadataProps, ...metadata],
    };
  }

  private fresh(stem: string): string {
    return new GraphBuilder('', this.taken).fresh(stem);
  }

  /** The branch that holds `tensor` itself; undefined when it stays in the main graph. */
  private branchOf(tensor: Tensor): number | undefined {
    const home = this.cut.homeOf.get(tensor.name) ?? 0;
    const large = tensor.external !== undefined || tensor.bytes.byteLength > BRANCH_LOCAL_BYTES;
    return home === 0 || large ? undefined : home;
  }

  /** Writes segment `k` and everything behind it into `b`; the answers get the names in `as`. `memory`: the policy's. */
  private level(
    k: number,
    b: GraphBuilder,
    names: Map<string, string>,
    state: string | undefined,
    as: Answer,
  ): void {
    const slot = this.slots[k];
    if (!slot && k > 0) names.set(this.typed.logits, this.fresh(`${this.typed.logits}/full`));
    this.segment(k, b, names);
    if (!slot) this.fullPath(b, names.get(this.typed.logits) ?? this.typed.logits, state, as);
    else this.exit(k, slot, b, names, state ?? this.noState(b, slot, names), as);
  }

  private segment(k: number, b: GraphBuilder, names: ReadonlyMap<string, string>): void {
    const { initializer } = indexGraph(this.graph);
    const local = new Set<Tensor>();
    for (const node of this.cut.segments[k]!) {
      const here = new Map(names);
      for (const name of k > 0 ? nodeReads(node) : []) {
        const tensor = initializer.get(name);
        if (!tensor) continue;
        if (this.branchOf(tensor) === k) local.add(tensor);
        // ONNX Runtime folds this Concat into a constant of the branch: only those get the blocked layout and prepacking.
        else if (isWeight(node, name))
          here.set(name, b.op('Concat', [name], { axis: 0 }, this.fresh(`${name}/branch_${k}`)));
      }
      const moved = renameNode(node, here);
      this.originals.add(moved);
      b.nodes.push(moved);
    }
    b.initializers.push(...local);
  }

  /** Nobody left: the last answer's logits, the index after the last exit, and the largest class probability. */
  private fullPath(b: GraphBuilder, logits: string, state: string | undefined, as: Answer): void {
    const { classes } = this.typed;
    const { final } = this.options;
    if (this.slots.length > 0 && !final) b.op('Identity', [logits], {}, as.logits);
    let flat = this.float(b, b.op('Reshape', [logits, b.int64([-1, classes])]), this.logitsType());
    if (this.slots.length > 0 && final) {
      flat = ensembleNodes(b, flat, state!, { classes, width: this.stateWidth, weight: final });
      b.op('Identity', [this.asLogits(b, flat)], {}, as.logits);
    }
    reduceMax(b, b.op('Softmax', [flat], { axis: 1 }), 1, this.opset, as.confidence);
    const index = this.slots.length > 0 ? 0 : this.fullIndex();
    this.constantRows(b, as.confidence, int64Tensor('value', [1], [index]), as.index);
  }

  private exit(
    k: number,
    slot: ExitSlot,
    b: GraphBuilder,
    names: Map<string, string>,
    state: string | undefined,
    as: Answer,
  ): void {
    const tap = names.get(slot.head.exit.tap.value) ?? slot.head.exit.tap.value;
    const decided = this.head(k, slot, b, tap, state);
    const { logits, score } = decided;
    const threshold = this.gates
      ? b.op('Gather', [this.gates.thresholds, b.int64([k])], { axis: 0 })
      : b.float([slot.threshold!]);
    const goOn = b.op('Not', [b.op('Greater', [score, threshold])]);
    // Exits passed from here on: 0 for those that leave; what the others get is scattered over their 1.
    const passed = b.op('Cast', [goOn], { to: TYPE_CODE.int64! });
    const found: Answer = { logits, index: passed, confidence: score };

    const onward = new GraphBuilder('', this.taken);
    const inner = this.freshAnswer();
    const outward = this.freshAnswer();
    const next = this.slots[k + 1]?.index ?? this.fullIndex();
    const count = (index: string, as: string) =>
      onward.op('Add', [index, onward.int64([next - slot.index])], {}, as);
    if (this.typed.batch === 'fixed') {
      this.level(k + 1, onward, new Map(names), decided.state, { ...outward, index: inner.index });
      count(inner.index, outward.index);
    } else {
      const rows = onward.op('Transpose', [onward.op('NonZero', [goOn])], { perm: [1, 0] });
      const kept = new Map(names);
      const { live, remade } = this.cut.carried[k]!;
      const survivors = (value: string) => this.fresh(`${value}/survivors_${k + 1}`);
      for (const value of live)
        kept.set(value, this.gather(onward, value, names.get(value) ?? value, rows, survivors(value)));
      for (const node of remade) {
        for (const value of node.outputs) if (value) kept.set(value, survivors(value));
        onward.nodes.push(renameNode(node, kept));
      }
      const carried =
        decided.state && this.isRead(k + 1) ? onward.op('GatherND', [decided.state, rows]) : undefined;
      this.level(k + 1, onward, kept, carried, inner);
      const answers = { ...inner, index: count(inner.index, this.fresh('answer/index')) };
      for (const part of PARTS) onward.op('ScatterND', [found[part], rows, answers[part]], {}, outward[part]);
    }
    const stay = new GraphBuilder('', this.taken);
    const stayed = this.freshAnswer();
    for (const part of PARTS) stay.op('Identity', [found[part]], {}, stayed[part]);

    const any = this.typed.batch === 'fixed' ? goOn : this.anyOf(b, passed);
    b.ops(
      'If',
      [any],
      {
        then_branch: this.branch(onward, outward, `after_${slot.head.exit.id}`),
        else_branch: this.branch(stay, stayed, `${slot.head.exit.id}_answers`),
      },
      PARTS.map((part) => as[part]),
    );
  }

  /** The rows of `value` (called `here`) that `rows` [S, 1] name, along its batch axis. */
  private gather(b: GraphBuilder, value: string, here: string, rows: string, as: string): string {
    const axis = this.typed.facts.get(value)!.batchAxis!;
    if (axis === 0) return b.op('GatherND', [here, rows], {}, as);
    return b.op('Gather', [here, b.op('Reshape', [rows, b.int64([-1])])], { axis }, as);
  }

  private openGates(main: GraphBuilder): Gates {
    const thresholds = main.input(THRESHOLDS, 'float', [this.slots.length]);
    return { thresholds, areOpen: main.op('Less', [thresholds, main.float(1)]) };
  }

  /** `exit_index` of samples that never leave. */
  private fullIndex(): number {
    return this.options.baked?.length ?? this.slots.length;
  }

  /** What the policy remembers of samples that have met no exit: 0s. Undefined when it remembers nothing. */
  private noState(b: GraphBuilder, slot: ExitSlot, names: ReadonlyMap<string, string>): string | undefined {
    if (this.stateWidth === 0) return undefined;
    const tap = names.get(slot.head.exit.tap.value) ?? slot.head.exit.tap.value;
    const dims = b.op('Concat', [this.rowCount(b, tap), b.int64([this.stateWidth])], { axis: 0 });
    return b.op('ConstantOfShape', [dims]);
  }

  private get stateWidth(): number {
    return this.policy.state(this.fullIndex(), this.typed.classes);
  }

  /** Whether what samples remember matters at level `k`: at an exit, or in a joined last answer. */
  private isRead(k: number): boolean {
    return this.slots[k] !== undefined || Boolean(this.options.final);
  }

  /**
   * The answer's logits (shaped as the original's), score [M] and memory, behind an If when the exit can be closed at run
   * time: a closed exit leaves the memory as it was.
   */
  private head(
    k: number,
    slot: ExitSlot,
    b: GraphBuilder,
    tap: string,
    state: string | undefined,
  ): DecisionValues {
    const open = this.gates ? new GraphBuilder('', this.taken) : b;
    const decided = this.decide(slot, open, tap, state);
    if (!this.gates) return decided;

    const closed = new GraphBuilder('', this.taken);
    const rows = this.rowCount(closed, tap);
    const zero = {
      ...int64Tensor('value', [1], [0]),
      dataType: this.logitsType(),
      bytes: new Uint8Array(this.logitsType() === 'float' ? 4 : 2),
    };
    const noLogits = closed.op(
      'ConstantOfShape',
      [closed.op('Concat', [rows, closed.int64(this.logitsDims().slice(1))], { axis: 0 })],
      { value: zero },
    );
    const noScore = closed.op('ConstantOfShape', [rows]);
    const hasState = decided.state !== undefined && this.isRead(k + 1);
    const same = hasState ? [closed.op('Identity', [state!])] : [];
    const { id } = slot.head.exit;
    const parts = hasState ? ['logits', 'score', 'memory'] : ['logits', 'score'];
    const outputs = parts.map((part) => this.fresh(`${id}/${part}`));
    const types = [this.logitsType(), 'float', 'float'] as const;
    const shapes = [[undefined, ...this.logitsDims().slice(1)], [undefined], [undefined, undefined]];
    const graphOf = (g: GraphBuilder, values: readonly string[], name: string): Graph => ({
      ...g.build(name),
      outputs: values.map((v, i) => makeValue(v, types[i]!, shapes[i])),
    });
    const found = [decided.logits, decided.score, ...(hasState ? [decided.state!] : [])];
    b.ops(
      'If',
      [b.op('Gather', [this.gates.areOpen, b.int64([k])], { axis: 0 })],
      {
        then_branch: graphOf(open, ownedBy(open, found), id),
        else_branch: graphOf(closed, [noLogits, noScore, ...same], `${id}_closed`),
      },
      outputs,
    );
    return { logits: outputs[0]!, score: outputs[1]!, state: outputs[2] };
  }

  /** The head and what the policy makes of it. */
  private decide(
    { head, index }: ExitSlot,
    b: GraphBuilder,
    tap: string,
    state: string | undefined,
  ): DecisionValues {
    const fact = this.typed.facts.get(head.exit.tap.value)!;
    const features = this.float(b, tap, fact.dataType);
    const wanted = this.policy.readsConfidence ? ['logits', 'confidence'] : ['logits'];
    const { graph } = head;
    const needed = prune({ ...graph, outputs: graph.outputs.filter((v) => wanted.includes(v.name)) });
    const made = inlineGraph(b, needed, { features }, `${head.exit.id}/`);
    const exit = {
      logits: made.logits!,
      confidence: made.confidence,
      state,
      exit: index,
      exits: this.fullIndex(),
      classes: this.typed.classes,
      opset: this.opset,
    };
    const decided = this.policy.nodes(b, exit, this.options.parameters ?? {});
    return { ...decided, logits: this.asLogits(b, decided.logits) };
  }

  /** `logits` [M, classes] float, in the type and shape of the original's. */
  private asLogits(b: GraphBuilder, logits: string): string {
    const [type, dims] = [this.logitsType(), this.logitsDims()];
    const typed = type === 'float' ? logits : b.op('Cast', [logits], { to: TYPE_CODE[type]! });
    return dims.length > 2 ? b.op('Reshape', [typed, b.int64([-1, ...dims.slice(1)])]) : typed;
  }

  /** How many samples `tap` holds, [1] int64. */
  private rowCount(b: GraphBuilder, tap: string): string {
    return this.opset < 15
      ? b.op('Gather', [b.op('Shape', [tap]), b.int64([0])], { axis: 0 })
      : b.op('Shape', [tap], { end: 1 });
  }

  private get policy(): Policy {
    const policy = policyOf(this.options.policy);
    return this.options.final ? withEnsemble(policy) : policy;
  }

  /** [M] filled with `value`, in the shape of `like` [M]. */
  private constantRows(b: GraphBuilder, like: string, value: Tensor, as?: string): string {
    return b.op('ConstantOfShape', [b.op('Shape', [like])], { value }, as);
  }

  /** Whether any of `counts` [M] int64 is not 0. */
  private anyOf(b: GraphBuilder, counts: string): string {
    return b.op('Cast', [b.op('ReduceMax', [counts], { keepdims: 0 })], { to: TYPE_CODE.bool! });
  }

  private float(b: GraphBuilder, value: string, dataType: DataType): string {
    return dataType === 'float' ? value : b.op('Cast', [value], { to: TYPE_CODE.float! });
  }

  private logitsType(): DataType {
    return this.typed.facts.get(this.typed.logits)!.dataType;
  }

  private logitsDims(): readonly number[] {
    return this.typed.facts.get(this.typed.logits)!.dims;
  }

  private freshAnswer(): Answer {
    return {
      logits: this.fresh('answer/logits'),
      index: this.fresh('answer/index'),
      confidence: this.fresh('answer/confidence'),
    };
  }

  private branch(b: GraphBuilder, answer: Answer, name: string): Graph {
    return {
      ...b.build(name),
      outputs: [
        makeValue(answer.logits, this.logitsType(), [undefined, ...this.logitsDims().slice(1)]),
        makeValue(answer.index, 'int64', [undefined]),
        makeValue(answer.confidence, 'float', [undefined]),
      ],
    };
  }
}

/** Branch outputs are made by nodes of the branch; one that came from outside, or stands there twice, gets an Identity. */
function ownedBy(b: GraphBuilder, values: readonly string[]): string[] {
  const made = new Set(b.nodes.flatMap((n) => n.outputs));
  return values.map((value, i) =>
    made.has(value) && values.indexOf(value) === i ? value : b.op('Identity', [value]),
  );
}

const PARTS = ['logits', 'index', 'confidence'] as const;

/** TensorProto.DataType codes of the types that casts go to. */
const TYPE_CODE: Partial<Record<DataType, number>> = { float: 1, int64: 7, bool: 9, float16: 10 };

/** Above this size an initializer stays in the main graph: a copy inside a branch costs memory and load time. */
const BRANCH_LOCAL_BYTES = 4096;

/** Whether `name` is a weight that ONNX Runtime prepares ahead when it is a constant of the node's own graph. */
function isWeight(node: Node, name: string): boolean {
  if (node.opType === 'MatMul') return node.inputs.includes(name);
  return ['Conv', 'ConvTranspose', 'Gemm'].includes(node.opType) && node.inputs[1] === name;
}
