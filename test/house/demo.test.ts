import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CLASSES, drawSamples, SIDE } from '../../examples/demo/shapes.ts';
import { ROOT, specifiersOf } from './sources.ts';

const test = suite('house: demo');

test('the images are the same on every machine', () => {
  const { pixels, labels } = drawSamples(200, 1);
  assert.is(pixels.length, 200 * SIDE * SIDE * 3);
  assert.is(createHash('sha256').update(pixels).digest('hex').slice(0, 16), 'c1b465446bf6e19e');
  assert.equal([...new Set(labels)].sort(), [...CLASSES.keys()]);
  assert.equal(
    drawSamples(7, 1).pixels,
    pixels.subarray(0, 7 * SIDE * SIDE * 3),
    'a sample depends on its place only',
  );
  assert.not.equal(drawSamples(7, 2).pixels, drawSamples(7, 1).pixels);
});

test('nothing that rounds differently elsewhere draws them', () => {
  const text = readFileSync(join(ROOT, 'examples/demo/shapes.ts'), 'utf8');
  assert.not.match(
    text.replace(/\/\*[\s\S]*?\*\//g, ''),
    /Math\.(sin|cos|tan|pow|exp|log|hypot|cbrt)|\*\*(?! 32)/,
  );
});

test('the base model is small and nothing is downloaded', () => {
  assert.ok(statSync(join(ROOT, 'examples/demo/base.onnx')).size < 500_000);
  const path = 'examples/demo/demo.ts';
  const text = readFileSync(join(ROOT, path), 'utf8');
  assert.not.match(text, /https?:|\.\.\/shared|\bfetch\(/);
  assert.not.ok(specifiersOf({ path, text }).some((name) => /^node:(https?|net)$/.test(name)));
});

test.run();
