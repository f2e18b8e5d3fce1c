/** A process that loads a model and runs one sample; prints the megabytes that are resident then and were not before. For chain-memory.ts. */
import { readFileSync } from 'node:fs';
import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import type { Model } from '../src/graph/types.ts';
import { type Feeds, Session, Tensor, withSession } from '../src/ort/session.ts';

export interface Weighed {
  readonly path: string;
  readonly input: string;
  /** Of a sample. */
  readonly dims: readonly number[];
  /** One for each exit; none of a network by itself. */
  readonly thresholds: readonly number[];
}

export function feedsOf({ input, dims, thresholds }: Weighed): Feeds {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.7));
  const x = { [input]: new Tensor('float32', data, [1, ...dims]) };
  if (thresholds.length === 0) return x;
  return { ...x, thresholds: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]) };
}

/** A model that hands back its input. */
function nothing(): Model {
  const b = new GraphBuilder();
  b.op('Identity', [b.input('x', 'float', [1])], {}, 'y');
  b.output('y', 'float', [1]);
  return makeModel(b.build('nothing'));
}

const resident = () =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;

if (process.argv[2] === '--weigh') {
  const weighed = JSON.parse(process.argv[3]!) as Weighed;
  // What ONNX Runtime itself takes would else count once a file.
  await withSession(nothing(), { threads: 1 }, (session) =>
    session.run({ x: new Tensor('float32', [1], [1]) }),
  );
  const before = resident();
  const session = await Session.open(weighed.path, { threads: 1 });
  const { exit_index } = await session.run(feedsOf(weighed));
  if (exit_index && Number(exit_index.data[0]) !== weighed.thresholds.length)
    throw new Error(`${weighed.path}: the sample left before the original`);
  console.log(resident() - before);
  process.exit();
}
