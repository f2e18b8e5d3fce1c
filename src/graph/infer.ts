/** Types and shapes of the ops that Offramp itself inserts: fully static, so symbols are bound to numbers first. */
import { invalidGraph, noShapeRule, shapeNotStatic } from '../errors/index.ts';
import { numberOf, qualifiedOp, tensorOf } from './attributes.ts';
import { type AttributeValue, GraphBuilder } from './builder.ts';
import { SHAPE_RULES } from './shape-rules.ts';
import type { Dims, StaticType } from './shapes.ts';
import { elementCount, toNumbers } from './tensor.ts';
import type { DataType, Graph, Node, Tensor, ValueInfo } from './types.ts';
import { allNames, ancestors } from './walk.ts';

/** Type of every value of `graph`. Throws `shape-not-static`, `no-shape-rule`, `shape-mismatch`. */
export function inferTypes(graph: Graph): ReadonlyMap<string, StaticType> {
  return new TypedBuilder('', graph).types;
}

/**
 * What an edit of a graph with static shapes must keep: a value that is in both graphs has the same type and shape, so that whatever reads it
 * still fits. Throws `invalid-graph`.
 */
export function checkKeptTypes(after: Graph, before: Graph): void {
  const show = ({ dataType, dims }: StaticType) => `${dataType} [${dims.join(', ')}]`;
  const types = inferTypes(after);
  for (const [name, type] of inferTypes(before)) {
    const now = types.get(name);
    if (now && show(now) !== show(type))
      throw invalidGraph(`value ${name} is ${show(now)}, and was ${show(type)}`, `graph ${after.name}`);
  }
}

/** `graph` with symbolic dims of its inputs and outputs replaced by numbers: `bindDims(head, { N: 256 })`. */
export function bindDims(graph: Graph, symbols: Readonly<Record<string, number>>): Graph {
  const bind = (v: ValueInfo): ValueInfo => {
    const dims = v.type?.dims?.map((d) => (typeof d === 'string' ? (symbols[d] ?? d) : d));
    return v.type && dims ? { ...v, type: { ...v.type, dims } } : v;
  };
  return { ...graph, inputs: graph.inputs.map(bind), outputs: graph.outputs.map(bind), valueInfo: [] };
}

/** Multiply-accumulates of the heavy ops (Conv, ConvTranspose, Gemm, MatMul); an output element costs its dot product. */
export function countMacs(graph: Graph): number {
  const builder = new TypedBuilder(
    '',
    graph,
    ancestors(
      graph,
      graph.outputs.map((v) => v.name),
    ),
  );
  return builder.known.reduce((sum, node) => {
    const dims = (i: number) => builder.dims(node.inputs[i]!);
    const out = () => elementCount(builder.dims(node.outputs[0]!));
    switch (node.opType) {
      case 'Conv': return sum + out() * elementCount(dims(1).slice(1));
      case 'ConvTranspose': return sum + elementCount(dims(0)) * elementCount(dims(1).slice(1));
      case 'Gemm': return sum + out() * dims(0)[numberOf(node, 'transA', 0) ? 0 : 1]!;
      case 'MatMul': return sum + out() * dims(0).at(-1)!;
      default: return sum;
    } // biome-ignore format: a table
  }, 0);
}

/** A builder that adds nodes to `graph` and infers the type of every value, the new ones included. */
export class TypedBuilder extends GraphBuilder {
  readonly types = new Map<string, StaticType>();
  /** The nodes of `graph` whose types were inferred. */
  readonly known: readonly Node[];
  private readonly constants: Map<string, Tensor>;

  /** `only`: the nodes of `graph` whose types are needed; all by default. */
  constructor(prefix: string, graph: Graph, only?: ReadonlySet<Node>) {
    super(prefix, allNames(graph));
    this.constants = new Map(graph.initializers.map((t) => [t.name, t]));
    for (const tensor of graph.initializers) this.types.set(tensor.name, tensor);
    for (const { name, type } of graph.inputs) {
      const dims = type?.dims?.filter((d) => typeof d === 'number');
      if (!type || !dims || dims.length !== type.dims?.length) throw shapeNotStatic(name);
      this.types.set(name, { dataType: type.dataType, dims });
      this.constants.delete(name);
    }
    this.known = only ? graph.nodes.filter((n) => only.has(n)) : graph.nodes;
    for (const node of this.known) this.learn(node);
  }

  override input(name: string, dataType: DataType, dims: Dims): string {
    this.types.set(name, { dataType, dims });
    return super.input(name, dataType, dims);
  }

  /** Adds `node` as it is. */
  add(node: Node): void {
    this.nodes.push(node);
    this.learn(node);
  }

  override ops(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue>,
    outputs: readonly string[],
  ): readonly string[] {
    super.ops(opType, inputs, attributes, outputs);
    this.learn(this.nodes.at(-1)!);
    return outputs;
  }

  typeOf(name: string): StaticType {
    const type = this.types.get(name) ?? this.initializers.find((t) => t.name === name);
    if (!type) throw shapeNotStatic(name);
    return type;
  }

  dims(name: string): Dims {
    return this.typeOf(name).dims;
  }

  /** Elements of a value that is known beforehand; undefined when it is not. */
  constant(name: string): readonly number[] | undefined {
    const tensor = this.constants.get(name) ?? this.initializers.find((t) => t.name === name);
    return tensor && toNumbers(tensor);
  }

  private learn(node: Node): void {
    const rule = SHAPE_RULES[qualifiedOp(node)];
    if (!rule) throw noShapeRule(node.opType, node.name);
    if (node.opType === 'Constant') this.constants.set(node.outputs[0]!, tensorOf(node));
    const made = rule({
      node,
      type: (i) => this.typeOf(node.inputs[i]!),
      dims: (i) => this.dims(node.inputs[i]!),
      constant: (i) => {
        const name = node.inputs[i];
        const value = name ? this.constant(name) : undefined;
        if (name && !value) throw shapeNotStatic(name);
        return value;
      },
    });
    node.outputs.forEach((name, i) => {
      if (name) this.types.set(name, made[i] ?? made[0]!);
    });
  }
}
