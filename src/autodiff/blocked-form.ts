/**
 * Maps in ONNX Runtime's blocked layout (see blocked.ts), which it gives by itself only to convolutions whose weights never change. Until gradients
 * are there three ops are our own, over blocked maps: `offramp.BlockedConv` (x, weight [O, I, kh, kw], bias [O]), `offramp.BlockedNorm` (x, scale,
 * shift [C]; y, batch mean, batch variance) and `offramp.BlockedAverage`, over all pixels; `leaveBlocked` writes them.
 */
import { numberOf } from '../graph/attributes.ts';
import { makeNode } from '../graph/builder.ts';
import { checkKeptTypes, TypedBuilder } from '../graph/infer.ts';
import { windowOf } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Graph, Node } from '../graph/types.ts';
import type { Pass } from '../passes/pass.ts';
import { affine, blockedOp, blockFilter, channelDot, channelSum } from './blocked.ts';
import { canDifferentiate } from './vjps-blocked.ts';

const DOMAIN = 'offramp';

/**
 * Puts convolutions over two axes into the blocked layout of `block` channels, where the batch and the channels are multiples of it (fewer input
 * channels than that are read from a plain map), and those that follow them: BatchNormalization in training mode, Relu, Add, GlobalAveragePool.
 * Values that anything else reads come back as maps of their names. Shapes must be static (`bindDims`).
 */
export function enterBlocked(block: number): Pass {
  return {
    name: 'enter-blocked',
    run: (graph) => new Entering(graph, block).run(),
    ensures: checkKeptTypes,
  };
}

class Entering {
  private readonly b: TypedBuilder;
  /** By the name of the map. */
  private readonly blocked = new Map<string, string>();
  /** Values that are blocked only, so far. */
  private readonly onlyBlocked = new Set<string>();

  constructor(
    private readonly graph: Graph,
    private readonly block: number,
  ) {
    this.b = new TypedBuilder('blocked/', graph);
  }

  run(): Graph {
    const { b, graph } = this;
    if (!graph.nodes.some((node) => this.fits(node))) return graph;
    const nodes: Node[] = [];
    for (const node of graph.nodes) {
      const isDone = this.enter(node);
      if (!isDone) for (const name of node.inputs) this.leave(name);
      nodes.push(...b.nodes.splice(0), ...(isDone ? [] : [node]));
    }
    for (const { name } of graph.outputs) this.leave(name);
    nodes.push(...b.nodes);
    return { ...graph, nodes, initializers: [...graph.initializers, ...b.initializers] };
  }

  private fits(node: Node): boolean {
    if (node.opType !== 'Conv' || node.domain !== '' || numberOf(node, 'group', 1) !== 1) return false;
    const { b, block } = this;
    const [o, i, ...kernel] = b.dims(node.inputs[1]!) as [number, number, ...number[]];
    const [n, , ...size] = b.dims(node.inputs[0]!) as [number, number, ...number[]];
    return (
      kernel.length === 2 &&
      n % block === 0 &&
      o % block === 0 &&
      (i < block || i % block === 0) &&
      canDifferentiate(size, windowOf(node, kernel))
    );
  }

  /** Writes `node` in the blocked layout; false when it has to stay what it is. */
  private enter(node: Node): boolean {
    const { b, block, blocked } = this;
    const [x, ...others] = node.inputs as [string, ...string[]];
    const y = node.outputs[0]!;
    const become = (value: string) => {
      blocked.set(y, value);
      this.onlyBlocked.add(y);
      return true;
    };
    if (this.fits(node)) {
      const [weight, ...bias] = others as [string, ...string[]];
      const [, i, ...kernel] = b.dims(weight) as [number, number, ...number[]];
      if (i < block) this.leave(x);
      const from = i < block ? x : this.blockedOf(x);
      const { kernel: kernel_shape, ...window } = windowOf(node, kernel);
      const outputs = [b.fresh(`${y}/blocked`)];
      const attributes = { kernel_shape, ...window, block };
      b.add({ ...makeNode('BlockedConv', [from, weight, ...bias], outputs, attributes), domain: DOMAIN });
      return become(outputs[0]!);
    }
    if (node.domain !== '' || !blocked.has(x)) return false;
    switch (node.opType) {
      case 'BatchNormalization': {
        if (numberOf(node, 'training_mode', 0) !== 1) return false;
        const outputs = [b.fresh(`${y}/blocked`), ...node.outputs.slice(1)];
        const inputs = [blocked.get(x)!, others[0]!, others[1]!];
        const norm = makeNode('BlockedNorm', inputs, outputs, {
          epsilon: { type: 'FLOAT', value: numberOf(node, 'epsilon', 1e-5) },
        });
        b.add({ ...norm, domain: DOMAIN });
        return become(outputs[0]!);
      }
      case 'Relu':
        return become(b.op('Relu', [blocked.get(x)!]));
      case 'Add':
        if (b.dims(x).join() !== b.dims(others[0]!).join()) return false;
        return become(b.op('Add', [blocked.get(x)!, this.blockedOf(others[0]!)]));
      case 'GlobalAveragePool':
        // One pixel is laid out alike in both.
        b.add({ ...makeNode('BlockedAverage', [blocked.get(x)!], [y], { block }), domain: DOMAIN });
        return true;
      default:
        return false;
    }
  }

  private blockedOf(map: string): string {
    const known = this.blocked.get(map);
    if (known !== undefined) return known;
    const value = blockedOp(this.b, 'ReorderInput', [map]);
    this.blocked.set(map, value);
    return value;
  }

  /** Writes the map `name` where something reads it as a map. */
  private leave(name: string): void {
    if (!this.onlyBlocked.delete(name)) return;
    const { b } = this;
    blockedOp(b, 'ReorderOutput', [this.blocked.get(name)!], { channels: b.dims(name)[1]! }, name);
  }
}

/** Writes what `enterBlocked` left behind as ops of ONNX Runtime. */
export const leaveBlocked: Pass = {
  name: 'leave-blocked',
  ensures: checkKeptTypes,
  run(graph: Graph): Graph {
    const b = new TypedBuilder('blocked/', graph);
    let changed = false;
    const nodes = graph.nodes.flatMap((node) => {
      if (node.domain !== DOMAIN) return [node];
      if (node.opType === 'BlockedConv') convolve(b, node);
      else if (node.opType === 'BlockedNorm') normalize(b, node);
      else if (node.opType === 'BlockedAverage')
        blockedOp(b, 'GlobalAveragePool', node.inputs, {}, node.outputs[0]);
      else return [node];
      changed = true;
      return b.nodes.splice(0);
    });
    return changed ? { ...graph, nodes, initializers: [...graph.initializers, ...b.initializers] } : graph;
  },
};

function convolve(b: TypedBuilder, node: Node): void {
  const [x, weight, ...bias] = node.inputs as [string, string, ...string[]];
  const { block: _, ...attributes } = node.attributes;
  const filter = blockFilter(b, weight, numberOf(node, 'block', 1));
  blockedOp(b, 'Conv', [x, filter, ...bias], attributes, node.outputs[0]);
}

/** Ioffe & Szegedy 2015, algorithm 1. */
function normalize(b: TypedBuilder, node: Node): void {
  const [x, scale, shift] = node.inputs as [string, string, string];
  const [y, batchMean, batchVariance] = node.outputs as [string, string, string];
  const count = b.float(b.dims(x)[1]! / elementCount(b.dims(x)));
  const mean = b.op('Mul', [channelSum(b, x), count], {}, batchMean);
  const square = b.op('Mul', [channelDot(b, x, x), count]);
  const spread = b.op('Sub', [square, b.op('Mul', [mean, mean])]);
  const variance = b.op('Max', [spread, b.float(0)], {}, batchVariance);
  const deviation = b.op('Sqrt', [b.op('Add', [variance, b.float(numberOf(node, 'epsilon', 1e-5))])]);
  const gain = b.op('Div', [scale, deviation]);
  affine(b, x, gain, b.op('Sub', [shift, b.op('Mul', [mean, gain])]), { as: y });
}
