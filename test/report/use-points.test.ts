import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Manifest } from '../../src/emit/manifest.ts';
import { escapeHtml } from '../../src/report/html.ts';
import { reportFacts, reportPage } from '../../src/report/index.ts';
import { callOf, exportOf, packageOf } from '../../src/report/use-points.ts';
import { CHAIN } from '../emit/sample.ts';
import { drawnSeen, MANIFEST } from './sample.ts';

const test = suite('report: use a point');
const seen = drawnSeen();
const pageOf = (manifest: Manifest) =>
  reportPage(
    reportFacts(manifest, () => seen),
    undefined,
  );
const baked: Manifest = { ...MANIFEST, outputs: { ...MANIFEST.outputs, thresholds: null } };
const folds = (text: string) =>
  [
    ...text.matchAll(/<details class="use"( open)?><summary>Use <strong>([^<]*)<\/strong>(.*?)<\/details>/gs),
  ].map(([, open, name, content]) => ({ open: open !== undefined, name, content: content! }));

test('every named point has its call and its command, unfolded where it is the default', async () => {
  const found = folds(await pageOf(MANIFEST));
  assert.equal(
    found.map(({ name, open }) => [name, open]),
    [
      ['fast', false],
      ['balanced', true],
      ['exact', false],
    ],
  );
  for (const { name, content } of found) {
    const at = { name: name! };
    for (const code of [
      callOf(MANIFEST, at),
      exportOf(MANIFEST, at, 'onnx'),
      exportOf(MANIFEST, at, 'triton'),
    ])
      assert.ok(content.includes(`<code>${escapeHtml(code)}</code>`), code);
    assert.not.match(content, 'calibrate');
  }
  assert.is(
    callOf(MANIFEST, { name: 'fast' }),
    "const [answer] = await model.classify(picture, { at: 'fast' });",
  );
  assert.is(
    exportOf(MANIFEST, { name: 'fast' }, 'triton'),
    'npx onnx-offramp export triton out/ models/ \\\n  --model pets.onnx \\\n  --at fast',
  );
  assert.is(
    exportOf(MANIFEST, { name: 'a b' }, 'onnx'),
    "npx onnx-offramp export onnx out/ 'a b.onnx' \\\n  --model pets.onnx \\\n  --at 'a b'",
  );
});

test('of built-in thresholds one point can be called, and others get a package', async () => {
  const found = folds(await pageOf(baked));
  for (const { name, open, content } of found) {
    assert.is(content.includes('model.classify(picture)'), open, name);
    assert.is(content.includes('calibrate out/'), !open, name);
  }
  assert.not.match(exportOf(baked, { name: 'balanced' }, 'triton'), '--model');
  assert.match(exportOf(baked, { name: 'fast' }, 'onnx'), '--model pets.onnx');
});

test('inputs that are no pictures are not called so', () => {
  assert.match(callOf({ ...MANIFEST, preprocessing: null }, { name: 'fast' }), 'classify(input, ');
});

test('a package asks for the splits that its thresholds came from', () => {
  const asked = (data: Manifest['data']) =>
    [...packageOf({ ...baked, data }, { name: 'fast' }).matchAll(/[A-Z]{3,}/g)].join(' ');
  const given = { samples: 9, hash: 'a' };
  assert.is(asked({ train: given, calibration: given, test: given }), 'CALIBRATION TEST');
  assert.is(asked({ train: given, calibration: { ...given, from: 'split of train' } }), 'TRAIN');
});

test('words are quoted, and of a chain the last network is the original', () => {
  const source = { ...MANIFEST.source, file: "it's $5 *.onnx", externalDataFolder: 'given' as const };
  assert.match(
    exportOf({ ...MANIFEST, source }, { name: 'a b' }, 'triton'),
    "--model 'it'\\''s $5 *.onnx' \\\n  --external-data-folder FOLDER \\\n  --at 'a b'",
  );
  assert.match(exportOf({ ...CHAIN, source }, { name: 'fast' }, 'triton'), '--model pets.onnx');
});

test.run();
