/** A model's local functions: what is refused in a graph must not hide in their bodies. `inlineFunctions` puts them in place of their calls. */
import onnxProto from 'onnx-proto';
import { functionsTooDeep, functionsTooLarge, invalidGraph } from '../errors/index.ts';
import { sortGraph, sortNodes } from '../graph/sort.ts';
import type { Attribute, Model, Node, OpsetImport } from '../graph/types.ts';
import { mapSubgraphs, subgraphs } from '../graph/walk.ts';
import { decodeAll, decodeAttribute, decodeNode, decodeOpsetImport } from './decode.ts';
import { FUNCTION, MODEL_FUNCTIONS, NODE_OVERLOAD } from './schema.ts';
import { cutMessage, readFields, withFieldLimit } from './wire.ts';

const { onnx } = onnxProto;

export interface LocalFunction {
  /** Domain, name and overload: what a node calls it by. */
  readonly id: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** In topological order. */
  readonly nodes: readonly Node[];
  /** Values of its attributes where a call gives none. */
  readonly defaults: Readonly<Record<string, Attribute>>;
  /** The operator sets that its nodes are of. */
  readonly opsetImports: readonly OpsetImport[];
}

/** How deep calls may lie in one another. ONNX Runtime inlines them recursively and crashes when 10,000 do. */
const MAX_DEPTH = 100;
/** How many nodes a function may stand for. 26 functions, each calling the next one twice, stand for 67 million. */
const MAX_NODES = 100_000;

/** Decodes the functions of `model`. Throws what `parseModel` does. */
export function readFunctions({ functionCount, unknownFields }: Model): LocalFunction[] {
  if (functionCount === 0 || !unknownFields) return [];
  return withFieldLimit(() => {
    const fields = readFields(unknownFields).filter((f) => f.number === MODEL_FUNCTIONS);
    return decodeAll('functions', fields, (payload) => {
      const { plain, apart } = cutMessage(payload, FUNCTION);
      const { name, domain, input, output } = onnx.FunctionProto.decode(plain);
      const defaults = apart(11).map((field) => decodeAttribute(field.payload, 1));
      return {
        id: idOf(domain, name, apart(13).at(-1)?.payload),
        inputs: input,
        outputs: output,
        nodes: sortNodes(
          decodeAll('node', apart(7), (bytes) => decodeNode(bytes, 1)).map((node) =>
            mapSubgraphs(node, sortGraph),
          ),
        ),
        defaults: Object.fromEntries(defaults.map((a) => [a.name, a.attribute])),
        opsetImports: decodeAll('opset_import', apart(9), decodeOpsetImport),
      };
    });
  });
}

const idOf = (domain: string, name: string, overload?: Uint8Array) =>
  [domain, name, ...(overload?.length ? [Buffer.from(overload).toString()] : [])].join(':');

/** What `node` calls, if there is such a function. */
export function calleeOf({ domain, opType, unknownFields }: Node): string {
  const fields = unknownFields ? readFields(unknownFields) : [];
  return idOf(domain, opType, fields.findLast((f) => f.number === NODE_OVERLOAD)?.payload);
}

/** Throws when a function is defined twice, calls itself, or stands for too much when it is inlined. */
export function checkFunctions(functions: readonly LocalFunction[]): void {
  const bodies = new Map<string, LocalFunction>();
  for (const body of functions) {
    if (bodies.has(body.id)) throw invalidGraph('the function is defined twice', body.id);
    bodies.set(body.id, body);
  }
  const measured = new Map<string, { readonly nodes: number; readonly depth: number }>();
  const measure = (id: string, callers: number) => {
    const known = measured.get(id);
    if (known) return known;
    if (callers === MAX_DEPTH) throw functionsTooDeep(id, MAX_DEPTH);
    let [nodes, depth] = [0, 1];
    for (const node of withSubgraphs(bodies.get(id)!.nodes)) {
      const callee = calleeOf(node);
      const inside = bodies.has(callee) ? measure(callee, callers + 1) : { nodes: 1, depth: 0 };
      nodes += inside.nodes;
      depth = Math.max(depth, inside.depth + 1);
    }
    if (depth > MAX_DEPTH) throw functionsTooDeep(id, MAX_DEPTH);
    if (nodes > MAX_NODES) throw functionsTooLarge(id, MAX_NODES);
    measured.set(id, { nodes, depth });
    return { nodes, depth };
  };
  for (const id of bodies.keys()) measure(id, 0);
}

function* withSubgraphs(nodes: readonly Node[]): Generator<Node> {
  for (const node of nodes) {
    yield node;
    for (const graph of subgraphs(node)) yield* withSubgraphs(graph.nodes);
  }
}
