/**
 * `npm run bench [-- NAME …]`: the benchmarks that take minutes, one after the other, each into its page. Nothing else should run beside them.
 * Those that train for hours (cifar10, policies, lambda) are run by themselves: README.md has the commands. `chain` is only run when it is
 * named: it needs models and pictures (MODELS, PICTURES).
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
/** Each prints its page. */
const known = [
  'emitted',
  'branch-weights',
  'pytorch',
  'step-parts',
  'rewrite',
  'extraction',
  'features-memory',
  'stub',
  'growth',
  'search',
];

/** Run only when they are named. */
const named = ['chain'];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => ![...known, ...named].includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${[...known, ...named].join(', ')}`);
  process.exit(2);
}
for (const name of asked.length > 0 ? asked : known) {
  console.error(`── ${name}`);
  const { status, stdout } = spawnSync('node', ['--import', 'tsx', join(folder, `${name}.ts`)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) process.exit(1);
  if (stdout.startsWith('# ')) writeFileSync(join(folder, `${name}.md`), stdout);
  else process.stdout.write(stdout);
}
