/**
 * Maps in ONNX Runtime's blocked layout (see blocked.ts), which it gives by itself only to convolutions whose weights never change. Until gradients
 * are there three ops are our own, over blocked maps: `offramp.BlockedConv` (x, weight [O, I, kh, kw], bias [O]), `offramp.BlockedNorm` (x, scale,
 * shift [C]; y, batch mean, batch variance) and `offramp.BlockedAverage`, over all pixels; `leaveBlocked` writes them.
 */
import { numberOf } from '../graph/attributes.ts';
import { type AttributeValue, makeNode } from '../graph/builder.ts';
import { checkKeptTypes, type TypedBuilder } from '../graph/infer.ts';
import { windowOf } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Graph, Node } from '../graph/types.ts';
import type { Pass } from '../passes/pass.ts';
import { affine, blockedOp, blockFilter, channelDot, channelSum } from './blocked.ts';
import { EnteringLayout, OWN_DOMAIN, rewriteNodes } from './map-layout.ts';
import { canDifferentiate } from './vjps-blocked.ts';

/**
 * Puts convolutions over two axes into the blocked layout of `block` channels, where the batch and the channels are multiples of it (fewer input
 * channels than that are read from a plain map), and those that follow them: BatchNormalization in training mode, Relu, Add, GlobalAveragePool.
 * Values that anything else reads come back as maps of their names. Shapes must be static (`bindDims`).
 */
export function enterBlocked(block: number): Pass {
  return {
    name: 'enter-blocked',
    run(graph) {
      const entering = new EnteringBlocks(graph, block);
      return graph.nodes.some((node) => entering.fits(node)) ? entering.run() : graph;
    },
    ensures: checkKeptTypes,
  };
}

class EnteringBlocks extends EnteringLayout {
  constructor(
    graph: Graph,
    private readonly block: number,
  ) {
    super(graph, 'blocked/');
  }

  fits(node: Node): boolean {
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

  protected convolution(node: Node): string | undefined {
    if (!this.fits(node)) return undefined;
    const { b, block } = this;
    const [x, weight, ...bias] = node.inputs as [string, string, ...string[]];
    const [, i, ...kernel] = b.dims(weight) as [number, number, ...number[]];
    if (i < block) this.leave(x);
    const from = i < block ? x : this.insideOf(x);
    const { kernel: kernel_shape, ...window } = windowOf(node, kernel);
    const y = b.fresh(`${node.outputs[0]}/blocked`);
    this.own('BlockedConv', [from, weight, ...bias], [y], { kernel_shape, ...window, block });
    return y;
  }

  protected normalisation(node: Node, x: string): string | undefined {
    if (numberOf(node, 'training_mode', 0) !== 1) return undefined;
    const [, scale, shift] = node.inputs as [string, string, string];
    const outputs = [this.b.fresh(`${node.outputs[0]}/blocked`), ...node.outputs.slice(1)];
    this.own('BlockedNorm', [x, scale, shift], outputs, {
      epsilon: { type: 'FLOAT', value: numberOf(node, 'epsilon', 1e-5) },
    });
    return outputs[0]!;
  }

  /** One pixel is laid out alike in both. */
  protected average(node: Node, x: string): void {
    this.own('BlockedAverage', [x], node.outputs, { block: this.block });
  }

  protected toLayout(map: string): string {
    return blockedOp(this.b, 'ReorderInput', [map]);
  }

  protected toMap(blocked: string, name: string): void {
    blockedOp(this.b, 'ReorderOutput', [blocked], { channels: this.b.dims(name)[1]! }, name);
  }

  private own(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Record<string, AttributeValue>,
  ): void {
    this.b.add({ ...makeNode(opType, inputs, outputs, attributes), domain: OWN_DOMAIN });
  }
}

/** Writes what `enterBlocked` left behind as ops of ONNX Runtime. */
export const leaveBlocked: Pass = {
  name: 'leave-blocked',
  ensures: checkKeptTypes,
  run: (graph) =>
    rewriteNodes(graph, 'blocked/', (b, node) => {
      if (node.domain !== OWN_DOMAIN) return false;
      if (node.opType === 'BlockedConv') convolve(b, node);
      else if (node.opType === 'BlockedNorm') normalize(b, node);
      else if (node.opType === 'BlockedAverage')
        blockedOp(b, 'GlobalAveragePool', node.inputs, {}, node.outputs[0]);
      else return false;
      return true;
    }),
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
