/** One test process: loads the test files named on the command line, then runs their suites. Started by test.ts. */
import { relative } from 'node:path';
import { pathToFileURL } from 'node:url';

type Outcome = readonly [errors: string | true, passed: number, skipped: number, total: number];
type Group = [name: string | null, ...suites: (() => Promise<Outcome>)[]];
const uvuState = globalThis as unknown as { UVU_DEFER: 1; UVU_INDEX: number; UVU_QUEUE: Group[] };

uvuState.UVU_DEFER = 1;
uvuState.UVU_QUEUE = [];
const { exec } = await import('uvu');

for (const [i, file] of process.argv.slice(2).entries()) {
  const group: Group = [relative(process.cwd(), file)];
  uvuState.UVU_INDEX = i;
  uvuState.UVU_QUEUE.push(group);
  try {
    await import(pathToFileURL(file).href);
    if (group.length === 1) group.push(failing('no suite was run: call .run() on each'));
  } catch (error) {
    group.push(failing(`does not load: ${error instanceof Error ? error.stack : error}`));
  }
}
await exec();
// ONNX Runtime's threads of a session that nobody released would keep the process alive.
process.exit();

function failing(problem: string): () => Promise<Outcome> {
  return async () => [`  FAIL  ${problem}\n`, 0, 0, 1];
}
