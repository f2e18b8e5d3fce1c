/**
 * The demo: draws pictures, then runs the real command line on them and on base.onnx. Downloads nothing.
 *
 *   npm run demo
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLASSES, drawSamples, writeNpz } from './shapes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SAMPLES = { train: 8000, calibration: 3000, test: 3000 };
const FLAGS = [
  '--preset',
  'unit',
  '--resize',
  'contain',
  '--student',
  '0.12',
  '--student-epochs',
  '16',
  '--student-exits',
  '2',
  '--budget',
  '0.3',
];

const started = Date.now();
const folder = mkdtempSync(join(tmpdir(), 'offramp-demo-'));
try {
  const data = Object.entries(SAMPLES).flatMap(([split, count], seed) => {
    const path = join(folder, `${split}.npz`);
    writeNpz(path, drawSamples(count, seed + 1));
    return [`--${split}`, path];
  });
  const drawn = Object.values(SAMPLES).reduce((sum, count) => sum + count, 0);
  console.log(`Drew ${drawn} pictures of ten classes in ${seconds()}.`);

  const labels = join(folder, 'labels.txt');
  writeFileSync(labels, `${CLASSES.join('\n')}\n`);

  const out = 'out/demo';
  const model = 'examples/demo/base.onnx';
  const args = [
    'compile',
    model,
    ...FLAGS,
    ...data,
    '--labels',
    labels,
    '--out',
    out,
    '--force',
    '--cache',
    join(folder, 'cache'),
  ];
  console.log(`\n  npx onnx-offramp ${args.map((word) => word.replace(`${folder}/`, '')).join(' ')}\n`);
  const { status } = spawnSync(process.execPath, [join(ROOT, 'bin/offramp.js'), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = status ?? 1;
  else console.log(`Done in ${seconds()}. Look into ${relative(process.cwd(), join(ROOT, out)) || '.'}/`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function seconds(): string {
  return `${((Date.now() - started) / 1000).toFixed(0)} s`;
}
