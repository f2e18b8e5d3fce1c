/** A process that loads a model and runs it on one sample and on 32; prints how long loading took and what memory it came to. For emitted.ts. */
import { Session, Tensor } from '../src/ort.ts';

const { path, input, dims, threads, exits } = JSON.parse(process.argv[2]!) as {
  path?: string;
  input: string;
  dims: number[];
  threads: number;
  exits: number;
};
let ms = 0;
if (path) {
  const start = performance.now();
  const session = await Session.open(path, { threads });
  ms = performance.now() - start;
  const thresholds = { thresholds: new Tensor('float32', new Float32Array(exits).fill(0.99999), [exits]) };
  for (const batch of [1, 32]) {
    const data = new Float32Array(batch * dims.reduce((a, b) => a * b, 1)).fill(0.5);
    const sample = { [input]: new Tensor('float32', data, [batch, ...dims]) };
    await session.run(exits > 0 ? { ...sample, ...thresholds } : sample);
  }
}
console.log(JSON.stringify({ ms, megabytes: process.resourceUsage().maxRSS / 1024 }));
process.exit();
