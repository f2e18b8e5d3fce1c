/** Writes small graphs node by node. Value names are the edges, so building reads like the arithmetic it means. */
import { invalidGraph } from '../errors/index.ts';
import { boolTensor, floatTensor, int64Tensor } from './tensor.ts';
import type { Attribute, DataType, Dim, Graph, Node, Tensor, ValueInfo } from './types.ts';

/** A JavaScript value that stands for an attribute; integers are INT, so write a FLOAT as `float(1)`. */
export type AttributeValue = number | string | Graph | Tensor | readonly number[] | Attribute;

/** A FLOAT attribute, for numbers that may be whole. */
export const float = (value: number): Attribute => ({ type: 'FLOAT', value });

export function toAttribute(value: AttributeValue): Attribute {
  if (typeof value === 'number') return { type: Number.isInteger(value) ? 'INT' : 'FLOAT', value };
  if (typeof value === 'string') return { type: 'STRING', value };
  if (Array.isArray(value)) return { type: value.every(Number.isInteger) ? 'INTS' : 'FLOATS', value };
  if ('nodes' in value) return { type: 'GRAPH', value };
  if ('bytes' in value) return { type: 'TENSOR', value };
  return value as Attribute;
}

/** A node of the default domain. */
export function makeNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): Node {
  const entries = Object.entries(attributes).map(([key, value]) => [key, toAttribute(value)] as const);
  return {
    opType,
    domain: '',
    name: outputs[0] ?? '',
    inputs,
    outputs,
    attributes: Object.fromEntries(entries),
  };
}

export function makeValue(name: string, dataType: DataType, dims: readonly Dim[] | undefined): ValueInfo {
  return { name, type: { dataType, dims } };
}

export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];
  readonly inputs: ValueInfo[] = [];
  readonly outputs: ValueInfo[] = [];
  private readonly names: Set<string>;
  private readonly shared = new Map<string, string>();

  /** New values are named `prefix` + op type, made unique against `names` (which grows). */
  constructor(
    readonly prefix = '',
    names: Set<string> = new Set(),
  ) {
    this.names = names;
  }

  /** A builder for a graph inside this one: no name is used in both. */
  branch(): GraphBuilder {
    return new GraphBuilder(this.prefix, this.names);
  }

  /** A fresh value name from `stem`. */
  fresh(stem: string): string {
    const base = this.prefix + stem;
    let name = base;
    for (let i = 1; this.names.has(name); i++) name = `${base}_${i}`;
    this.names.add(name);
    return name;
  }

  input(name: string, dataType: DataType, dims: readonly Dim[]): string {
    this.names.add(name);
    this.inputs.push(makeValue(name, dataType, dims));
    return name;
  }

  output(name: string, dataType: DataType, dims: readonly Dim[]): string {
    this.outputs.push(makeValue(name, dataType, dims));
    return name;
  }

  /** An initializer under its own name (which must be free). */
  initializer(tensor: Tensor): string {
    if (this.names.has(tensor.name)) throw invalidGraph('name used twice', `initializer ${tensor.name}`);
    this.names.add(tensor.name);
    this.initializers.push(tensor);
    return tensor.name;
  }

  /** A node with one output; returns the output's name (`as`, or a fresh one). */
  op(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
    as?: string,
  ): string {
    return this.ops(opType, inputs, attributes, [as ?? this.fresh(opType)])[0]!;
  }

  /** A node with the given outputs. */
  ops(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue>,
    outputs: readonly string[],
  ): readonly string[] {
    for (const name of outputs) this.names.add(name);
    this.nodes.push(makeNode(opType, inputs, outputs, attributes));
    return outputs;
  }

  /** A float constant: a scalar from a number, else a vector; equal constants are shared. */
  float(values: number | readonly number[], dims?: readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    const shape = dims ?? (typeof values === 'number' ? [] : [list.length]);
    return this.share(`float:${shape}:${list}`, () => floatTensor(this.fresh('const'), shape, list));
  }

  /** An int64 constant, as `float`. */
  int64(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    const shape = typeof values === 'number' ? [] : [list.length];
    return this.share(`int64:${shape}:${list}`, () => int64Tensor(this.fresh('const'), shape, list));
  }

  bool(value: boolean): string {
    return this.share(`bool:${value}`, () => boolTensor(this.fresh('const'), [], [value]));
  }

  private share(key: string, make: () => Tensor): string {
    let name = this.shared.get(key);
    if (name === undefined) {
      const tensor = make();
      name = tensor.name;
      this.initializers.push(tensor);
      this.shared.set(key, name);
    }
    return name;
  }

  build(name: string): Graph {
    return {
      name,
      nodes: [...this.nodes],
      initializers: [...this.initializers],
      sparseInitializers: [],
      inputs: [...this.inputs],
      outputs: [...this.outputs],
      valueInfo: [],
    };
  }
}

/** A model that holds `graph` and nothing else, with ONNX Runtime's own ops where it has any: for running graphs that Offramp makes itself. */
export function makeModel(graph: Graph, opset = 17, irVersion = 8) {
  const domains = new Set(
    graph.nodes.map(({ domain }) => domain).filter((d) => d.startsWith('com.microsoft')),
  );
  return {
    irVersion,
    opsetImports: [{ domain: '', version: opset }, ...[...domains].map((domain) => ({ domain, version: 1 }))],
    producerName: 'offramp',
    producerVersion: '',
    graph,
    metadataProps: [],
    functionCount: 0,
  };
}
