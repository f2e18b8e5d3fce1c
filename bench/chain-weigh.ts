/** A process that loads a model and runs one sample; prints the megabytes that are resident then and were not before. For chain-memory.ts. */
import { readFileSync } from 'node:fs';
import { type Feeds, Session, Tensor } from '../src/ort/session.ts';

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

const resident = () =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;

if (process.argv[2] === '--weigh') {
  const weighed = JSON.parse(process.argv[3]!) as Weighed;
  const before = resident();
  const session = await Session.open(weighed.path, { threads: 1 });
  await session.run(feedsOf(weighed));
  console.log(resident() - before);
  process.exit();
}
