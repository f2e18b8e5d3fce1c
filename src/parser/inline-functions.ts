/** Local functions in place of their calls, as ONNX Runtime does when it loads a model: their nodes can then be run, counted and tapped one by one. */
import { functionsTooLarge } from '../errors/index.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { checkGraph } from '../graph/check.ts';
import { sortGraph } from '../graph/sort.ts';
import {
  type Attribute,
  type Graph,
  isDefaultDomain,
  type Model,
  type Node,
  type OpsetImport,
  opsetOf,
} from '../graph/types.ts';
import { allNames, mapSubgraphs, subgraphs } from '../graph/walk.ts';
import { REF_ATTR_NAME } from './decode.ts';
import { calleeOf, type LocalFunction, readFunctions } from './functions.ts';
import { MODEL_FUNCTIONS } from './schema.ts';
import { sourceBytes } from './source-bytes.ts';
import { joinBytes, readFields } from './wire.ts';

/** Nodes that a model may have when all calls are inlined. */
const MAX_NODES = 1_000_000;

/**
 * `model` without local functions: each call is the nodes of its function, whose values are called `<first output of the call>/<name>`. The very
 * same model when it has none, or when one of them is of another version of the default operator set than the graph: its nodes would mean
 * something else there. Throws `functions-too-large`, and `invalid-graph` for functions that make no valid graph.
 */
export function inlineFunctions(model: Model): Model {
  const functions = readFunctions(model);
  const opset = opsetOf(model);
  const isOther = ({ domain, version }: OpsetImport) => isDefaultDomain(domain) && version !== opset;
  if (functions.length === 0 || functions.some((f) => f.opsetImports.some(isOther))) return model;
  // As a graph that is read: sorted, then checked.
  const graph = sortGraph(new Inlining(functions, model.graph).run());
  checkGraph(graph);
  const others = readFields(model.unknownFields!).filter((f) => f.number !== MODEL_FUNCTIONS);
  const { unknownFields: _, ...rest } = model;
  const imported = new Map<string, OpsetImport>();
  for (const one of [...functions.flatMap((f) => f.opsetImports), ...model.opsetImports])
    imported.set(one.domain, one);
  const used = new Set(domainsIn(graph));
  return {
    ...rest,
    graph,
    functionCount: 0,
    opsetImports: [...imported.values()].filter(
      ({ domain }) => isDefaultDomain(domain) || used.has(domain) || !functions.some(isOf(domain)),
    ),
    ...(others.length > 0 && { unknownFields: joinBytes(others.map((f) => f.raw)) }),
  };
}

const isOf =
  (domain: string) =>
  ({ id }: LocalFunction) =>
    id.startsWith(`${domain}:`);

function* domainsIn(graph: Graph): Generator<string> {
  for (const node of graph.nodes) {
    yield node.domain;
    for (const sub of subgraphs(node)) yield* domainsIn(sub);
  }
}

class Inlining {
  private readonly functions: ReadonlyMap<string, LocalFunction>;
  private readonly names: GraphBuilder;
  private made = 0;

  constructor(
    functions: readonly LocalFunction[],
    private readonly graph: Graph,
  ) {
    this.functions = new Map(functions.map((f) => [f.id, f]));
    this.names = new GraphBuilder('', allNames(graph));
  }

  run(): Graph {
    return this.inGraph(this.graph);
  }

  private inGraph(graph: Graph): Graph {
    const nodes = graph.nodes.flatMap((node) => this.expand(node));
    return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
  }

  private expand(node: Node): Node[] {
    const body = this.functions.get(calleeOf(node));
    if (body) return this.call(node, body).flatMap((inner) => this.expand(inner));
    if (++this.made > MAX_NODES) throw functionsTooLarge(this.graph.name, MAX_NODES);
    return [mapSubgraphs(node, (sub) => this.inGraph(sub))];
  }

  /** The nodes of `body`, with the call's values and attributes in place of its own. */
  private call(node: Node, body: LocalFunction): Node[] {
    const prefix = `${node.outputs.find((name) => name !== '')}/`;
    const names = new Map(body.inputs.map((formal, i) => [formal, node.inputs[i] ?? '']));
    for (const [i, formal] of body.outputs.entries()) {
      const actual = node.outputs[i];
      if (actual) names.set(formal, actual);
    }
    const own = { ...this.graph, nodes: body.nodes, initializers: [], inputs: [], outputs: [] };
    for (const name of allNames({ ...own, sparseInitializers: [], valueInfo: [] }))
      if (name !== '' && !names.has(name)) names.set(name, this.names.fresh(prefix + name));
    const attributes = { ...body.defaults, ...node.attributes };
    return body.nodes.map((inner) => bound(inner, names, attributes));
  }
}

/** `node` of a function's body with other names, everywhere in it, and with `attributes` where it refers to those of the call. */
function bound(
  node: Node,
  names: ReadonlyMap<string, string>,
  attributes: Readonly<Record<string, Attribute>>,
): Node {
  const to = (name: string) => names.get(name) ?? name;
  const own = Object.entries(node.attributes).flatMap(([key, attribute]) => {
    const referred = attribute.type === 'OPAQUE' ? referenceOf(attribute) : undefined;
    if (referred === undefined) return [[key, attribute] as const];
    return Object.hasOwn(attributes, referred) ? [[key, attributes[referred]!] as const] : [];
  });
  const outputs = node.outputs.map(to);
  const renamed: Node = {
    ...node,
    name: outputs.find((name) => name !== '') ?? '',
    inputs: node.inputs.map(to),
    outputs,
    attributes: Object.fromEntries(own),
  };
  const named = <T extends { readonly name: string }>(all: readonly T[]) =>
    all.map((one) => ({ ...one, name: to(one.name) }));
  return mapSubgraphs(renamed, (sub) => ({
    ...sub,
    nodes: sub.nodes.map((inner) => bound(inner, names, attributes)),
    initializers: named(sub.initializers),
    inputs: named(sub.inputs),
    outputs: named(sub.outputs),
    valueInfo: named(sub.valueInfo),
  }));
}

/** The attribute of the call that `attribute` stands for. */
function referenceOf(attribute: Attribute): string | undefined {
  const fields = readFields(sourceBytes(attribute) ?? new Uint8Array());
  const name = fields.findLast((f) => f.number === REF_ATTR_NAME)?.payload;
  return name && Buffer.from(name).toString();
}
