/** A graph whose nodes get newer forms (`raise-opset.ts`), with what is known of its values. */
import { cannotRaiseOpset } from '../errors/index.ts';
import { type AttributeValue, makeNode } from '../graph/builder.ts';
import { toNumbers } from '../graph/tensor.ts';
import {
  DATA_TYPES,
  type DataType,
  type Dim,
  type Graph,
  type Node,
  type Tensor,
  type TensorType,
} from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';

/** What holds for a model and all its subgraphs. */
export interface Raise {
  readonly from: number;
  readonly to: number;
  /** Names of all scopes; grows. */
  readonly names: Set<string>;
  /** Of values that the graphs may not describe; dims that a run showed, but no file promises, are undefined. */
  readonly known: ReadonlyMap<string, TensorType>;
}

const FLOATING = new Set<DataType>(['float', 'float16', 'double']);

export class Scope {
  /** What was rewritten so far. */
  readonly nodes: Node[] = [];
  private readonly constants: Map<string, Tensor>;
  private readonly types: Map<string, DataType>;
  private readonly dims: Map<string, readonly Dim[]>;

  constructor(
    private readonly graph: Graph,
    private readonly raise: Raise,
    outer?: Scope,
  ) {
    const declared = [...graph.inputs, ...graph.valueInfo, ...graph.outputs];
    const described = [
      ...(outer ? [] : raise.known),
      ...graph.initializers.map((t) => [t.name, t] as const),
      ...declared.flatMap(({ name, type }) => (type ? [[name, type] as const] : [])),
    ];
    this.constants = new Map([
      ...(outer?.constants ?? []),
      ...graph.initializers.map((t) => [t.name, t] as const),
    ]);
    this.types = new Map([
      ...(outer?.types ?? []),
      ...described.map(([name, { dataType }]) => [name, dataType] as const),
    ]);
    this.dims = new Map([
      ...(outer?.dims ?? []),
      ...described.flatMap(([name, { dims }]) => (dims ? [[name, dims] as const] : [])),
    ]);
  }

  isRead(value: string): boolean {
    return indexGraph(this.graph).consumers.has(value) || this.graph.outputs.some((v) => v.name === value);
  }

  /** The numbers of a constant; undefined for what is computed. */
  numbersOf(value: string): readonly number[] | undefined {
    const tensor = this.constants.get(value);
    return tensor && toNumbers(tensor);
  }

  typeOf(value: string): DataType | undefined {
    return this.types.get(value);
  }

  /** Undefined when the rank is unknown. */
  dimsOf(value: string): readonly Dim[] | undefined {
    return this.dims.get(value);
  }

  /** Remembers what `node` makes: a constant, or values of the type it names or else of its first floating input. */
  learn({ opType, inputs, outputs, attributes: { value, to } }: Node): void {
    const tensor = value?.type === 'TENSOR' ? value.value : undefined;
    if (opType === 'Constant' && tensor) this.constants.set(outputs[0]!, tensor);
    const named = to?.type === 'INT' ? DATA_TYPES[to.value] : tensor?.dataType;
    const type = named ?? inputs.map((name) => this.types.get(name)).find((t) => t && FLOATING.has(t));
    for (const output of outputs) if (type && !this.types.has(output)) this.types.set(output, type);
  }

  /** A new node before the one that is being rewritten; its one output is named after `stem`. Its form must not change again up to opset 22. */
  op(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue>,
    stem: string,
  ): string {
    const name = this.fresh(stem);
    this.nodes.push(makeNode(opType, inputs, [name], attributes));
    return name;
  }

  /** `tensor` as a value named after `stem`; a float scalar in the type of the value `like`. */
  constant(stem: string, tensor: Tensor, like: string): string {
    const isScalar = tensor.dims.length === 0 && tensor.dataType === 'float';
    const type = isScalar ? (this.types.get(like) ?? 'float') : tensor.dataType;
    const name = this.fresh(stem);
    const plain = type === tensor.dataType ? name : this.fresh(`${stem}/float`);
    this.nodes.push(makeNode('Constant', [], [plain], { value: tensor }));
    this.constants.set(plain, tensor);
    if (plain !== name) this.nodes.push(makeNode('Cast', [plain], [name], { to: DATA_TYPES.indexOf(type) }));
    return name;
  }

  refusal(node: Node, why: string) {
    const { from, to } = this.raise;
    return cannotRaiseOpset(from, to, `node "${node.name || node.outputs[0]}"`, `${node.opType} ${why}`);
  }

  private fresh(stem: string): string {
    const { names } = this.raise;
    let name = stem;
    for (let i = 1; names.has(name); i++) name = `${stem}_${i}`;
    names.add(name);
    return name;
  }
}
