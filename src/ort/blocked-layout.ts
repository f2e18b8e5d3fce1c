/** Whether ONNX Runtime has a blocked layout for convolutions here, and how wide it is. */
import { GraphBuilder, makeModel, makeNode } from '../graph/builder.ts';
import { Session, type SessionOptions, Tensor } from './session.ts';

const SMALLEST = 8;
let probed: Promise<number | undefined> | undefined;

/**
 * Channels that lie side by side in a map of `com.microsoft.nchwc` ops: 8 or 16 on x64; undefined where the processor or the provider has no such
 * ops. Asked once in a process.
 */
export function blockedChannels({ provider = 'cpu' }: SessionOptions = {}): Promise<number | undefined> {
  if (provider !== 'cpu') return Promise.resolve(undefined);
  probed ??= probe();
  return probed;
}

/** A map of four channels fills up to a whole block. */
async function probe(): Promise<number | undefined> {
  const b = new GraphBuilder();
  b.input('x', 'float', [1, 4, 1, 1]);
  b.nodes.push({ ...makeNode('ReorderInput', ['x'], ['y']), domain: 'com.microsoft.nchwc' });
  b.outputs.push({ name: 'y', type: undefined });
  let session: Session | undefined;
  try {
    session = await Session.open(makeModel(b.build('block')), { threads: 1 });
    const { y } = await session.run({ x: new Tensor('float32', new Float32Array(4), [1, 4, 1, 1]) });
    const block = y!.dims[1]!;
    return block >= SMALLEST ? block : undefined;
  } catch {
    return undefined;
  } finally {
    await session?.release();
  }
}
