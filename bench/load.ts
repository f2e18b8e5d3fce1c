/** A process that loads a model and runs it on one sample and on 32; prints how long loading took and what memory it came to. For emitted.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Session, Tensor } from '../src/ort/session.ts';

const { path, input, dims, threads, exits } = JSON.parse(process.argv[2]!) as {
  path?: string;
  input: string;
  dims: number[];
  threads: number;
  exits: number;
};
// Forgets the peak so far (proc(5)): a process starts with that of the one that started it.
writeFileSync('/proc/self/clear_refs', '5');
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
const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
console.log(JSON.stringify({ ms, megabytes: peak / 1024 }));
process.exit();
