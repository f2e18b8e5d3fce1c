import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emit } from '../../src/commands/emit.ts';
import { readTokenizerFile } from '../../src/data/tokenizer.ts';
import { printManifest } from '../../src/emit/manifest-json.ts';
import { emitPackage } from '../../src/emit/stub.ts';
import type { OfframpError } from '../../src/errors/index.ts';
import { SAMPLE } from '../emit/sample.ts';
import { ROOT } from '../house/sources.ts';
import { wordPieceTokenizer } from '../hub-tokenizers.ts';

const test = suite<{ folder: string }>('emit: again from the manifest');
const generated = emitPackage(SAMPLE);

/** A compiled package without its generated files. */
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'offramp-emit-'));
  writeFileSync(join(context.folder, 'manifest.json'), printManifest(SAMPLE));
  for (const file of ['model.onnx', 'heads.onnx', 'mine.txt'])
    writeFileSync(join(context.folder, file), file);
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

async function refusal(promise: Promise<unknown>): Promise<OfframpError> {
  try {
    await promise;
  } catch (error) {
    return error as OfframpError;
  }
  return assert.unreachable('nothing was thrown') as never;
}

const GENERATED = [
  'index.ts',
  'index.js',
  'index.d.ts',
  'index.cjs',
  'index.d.cts',
  'package.json',
  'README.md',
];

function writeGenerated(folder: string): void {
  for (const [name, text] of generated) writeFileSync(join(folder, name), text);
}

test('writes what compile would have written, and touches nothing else', async ({ folder }) => {
  writeFileSync(join(folder, 'index.ts'), 'stale');
  const files = await emit({ folder });
  assert.equal(
    files.map((path) => relative(folder, path)),
    GENERATED,
  );
  for (const [name, text] of generated) assert.is(readFileSync(join(folder, name), 'utf8'), text);
  for (const name of ['model.onnx', 'heads.onnx', 'mine.txt'])
    assert.is(readFileSync(join(folder, name), 'utf8'), name);
  assert.is(readFileSync(join(folder, 'manifest.json'), 'utf8'), printManifest(SAMPLE));
  assert.is(readdirSync(folder).length, GENERATED.length + 4);
});

test('check names every file that differs or is missing, and writes nothing', async ({ folder }) => {
  writeGenerated(folder);
  await emit({ folder, check: true });
  writeFileSync(join(folder, 'index.js'), `${readFileSync(join(folder, 'index.js'))}\n`);
  rmSync(join(folder, 'README.md'));
  const { code, message, hint } = await refusal(emit({ folder, check: true }));
  assert.is(code, 'package-differs');
  assert.match(message, `${join(folder, 'index.js')}, ${join(folder, 'README.md')}`);
  assert.not.match(message, 'index.ts');
  assert.match(hint, `npx onnx-offramp emit ${folder}`);
  assert.not.ok(existsSync(join(folder, 'README.md')));
});

test('a changed manifest makes the package differ', async ({ folder }) => {
  writeGenerated(folder);
  const operatingPoints = SAMPLE.operatingPoints.map((point) => ({ ...point, accuracy: 0.5 }));
  writeFileSync(join(folder, 'manifest.json'), printManifest({ ...SAMPLE, operatingPoints }));
  assert.is((await refusal(emit({ folder, check: true }))).code, 'package-differs');
  await emit({ folder });
  await emit({ folder, check: true });
});

test('the one file finds the model from where it lies', async ({ folder }) => {
  const places = [
    [join(folder, 'src/nets/pets.ts'), '../../model.onnx'],
    [join(folder, 'pets.ts'), './model.onnx'],
    [
      join(folder, '..', `${relative(join(folder, '..'), folder)}.ts`),
      `./${relative(join(folder, '..'), folder)}/model.onnx`,
    ],
  ] as const;
  for (const [stubOnly, model] of places) {
    assert.equal(await emit({ folder, stubOnly }), [stubOnly]);
    assert.match(readFileSync(stubOnly, 'utf8'), `new URL('${model}', import.meta.url)`);
    await emit({ folder, stubOnly, check: true });
    rmSync(stubOnly);
    const { code, hint } = await refusal(emit({ folder, stubOnly, check: true }));
    assert.is(code, 'package-differs');
    assert.match(hint, `--stub-only ${stubOnly}`);
  }
  assert.not.ok(existsSync(join(folder, 'index.ts')));
});

test('a package with a tokenizer.json as an earlier Offramp kept it is refused, not paired with code of today', async ({
  folder,
}) => {
  const file = join(folder, 'tokenizer.json');
  writeFileSync(join(folder, 'manifest.json'), readFileSync(join(ROOT, 'golden/stub-texts/manifest.json')));
  writeFileSync(
    file,
    JSON.stringify({ ...wordPieceTokenizer(), pre_tokenizer: { type: 'WhitespaceSplit' } }),
  );
  for (const options of [{}, { check: true }, { stubOnly: join(folder, 'pets.ts') }]) {
    const error = await refusal(emit({ folder, ...options }));
    assert.is(error.code, 'package-outdated', error.message);
    assert.match(error.message, 'tokenizer.json');
  }
  writeFileSync(file, await readTokenizerFile(file));
  assert.ok((await emit({ folder })).length > 0);
});

test('a folder without a manifest, or a place that cannot be written, is an error', async ({ folder }) => {
  assert.is((await refusal(emit({ folder: join(folder, 'absent') }))).code, 'not-a-package');
  const stubOnly = join(folder, 'mine.txt', 'pets.ts');
  assert.is((await refusal(emit({ folder, stubOnly }))).code, 'output-unusable');
});

test.run();
