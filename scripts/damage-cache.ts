/**
 * Damages a cache in one place after another and compiles from it: what comes out must be what came out of a whole cache, byte for byte but
 * for latencies, or an error with a code. Ends with the line `N passed, N failed`.
 *
 *   npx tsx scripts/damage-cache.ts              a flipped bit in every file, and one damage of another kind
 *   npx tsx scripts/damage-cache.ts --all        every kind of damage to every file
 *   npx tsx scripts/damage-cache.ts --seed 7 records.bin     other places; only files whose path holds one of the words
 */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compile } from '../src/commands/compile.ts';
import { OfframpError } from '../src/errors/index.ts';
import { Random } from '../src/graph/random.ts';
import { DAMAGES, damage, filesIn } from '../test/damage.ts';
import { assertSamePackage } from '../test/timeless.ts';
import { tinyProject } from '../test/tiny-project.ts';

const { values, positionals: words } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, all: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const seed = Number(values.seed);
if (!Number.isSafeInteger(seed)) throw new Error('--seed takes a whole number');

const { at, writeSamples, compileOptions, remove } = tinyProject('damage', { epochs: 1, report: false });
process.on('exit', remove);

/** What a compile from `cache` came to: `same`, or the code of its error. Throws what has no code, and where files differ. */
async function outcome(cache: string): Promise<string> {
  rmSync(at('again'), { recursive: true, force: true });
  try {
    await compile(compileOptions('again', { cache }));
  } catch (error) {
    if (error instanceof OfframpError) return error.code;
    throw error;
  }
  assertSamePackage(at('again'), at('whole'));
  return 'same';
}

await writeSamples({ train: 300, calibration: 150, test: 150 });
await compile(compileOptions('whole'));
const files = filesIn(at('cache')).filter(
  (file) => words.length === 0 || words.some((word) => file.includes(word)),
);
const [flip, ...others] = DAMAGES;
const places = files.flatMap((file, i) =>
  (values.all ? DAMAGES : [flip, others[i % others.length]!]).map((how) => ({ file, how })),
);
const rows = [];
for (const { file, how } of places) {
  const cache = at('damaged');
  rmSync(cache, { recursive: true, force: true });
  cpSync(at('cache'), cache, { recursive: true });
  const place = damage(join(cache, file), how, new Random(seed, `${file} ${how}`));
  const row = { file: file.replace(/[0-9a-f]{24,}/, (name) => `${name.slice(0, 8)}…`), damage: place };
  try {
    rows.push({ ...row, passed: true, outcome: await outcome(cache) });
  } catch (error) {
    const { name, message } = error as Error;
    rows.push({ ...row, passed: false, outcome: `${name}: ${message.split('\n')[0]}` });
  }
  const { passed, outcome: came } = rows.at(-1)!;
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${row.file.padEnd(40)} ${row.damage.padEnd(44)} ${came}`);
}
const failed = rows.filter(({ passed }) => !passed).length;
console.log(`\n${rows.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 || rows.length === 0 ? 1 : 0;
