import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { reopen } from '../../src/commands/reopen.ts';
import { sizesOf } from '../../src/commands/sizes.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import type { Model } from '../../src/graph/types.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { bundleHeads } from '../../src/passes/bundle-heads.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('reopen');
const { model, at, writeSamples, compileOptions, remove } = tinyProject('reopen', { epochs: 1, views: 1 });
const session = { threads: 1 };

test.before(async () => {
  await writeSamples({ train: 200, calibration: 150, test: 100 });
  await compile(compileOptions('out'));
});
test.after(remove);

/** A copy of the compiled folder, as `change` leaves it. */
function copied(change: (folder: string) => void): string {
  const folder = at('copy');
  rmSync(folder, { recursive: true, force: true });
  cpSync(at('out'), folder, { recursive: true });
  change(folder);
  return folder;
}

test('the heads that were kept come back, at the exits of the manifest', async () => {
  const manifest = manifestIn(at('out'));
  const { inspection, chain } = await reopen(at('out'), manifest, { model, session });
  const { heads } = chain;
  assert.equal(
    heads.map(({ exit, kind, macs }) => [exit.id, exit.tap.value, exit.prefixMacs, kind, macs]),
    manifest.exits.map(({ id, tap, prefixMacs, head, headMacs }) => [id, tap, prefixMacs, head, headMacs]),
  );
  assert.equal(
    [inspection.source.sha256, inspection.typed.logits],
    [manifest.source.sha256, manifest.outputs.scores],
  );
  const kept = parseModel(readFileSync(at('out/heads.onnx'))).graph;
  assert.ok(kept.initializers.length > 0);
  assert.ok(
    bundleHeads(heads).initializers.every(({ name, bytes }) =>
      Buffer.from(bytes).equals(kept.initializers.find((t) => t.name === name)!.bytes),
    ),
  );
});

test('another model than the one that was compiled is refused', async () => {
  writeFileSync(at('other.onnx'), serializeModel(tinyResidual({ seed: 5 })));
  await rejectsWith('other-model', () =>
    reopen(at('out'), manifestIn(at('out')), { model: at('other.onnx'), session }),
  );
});

test('heads that are missing, changed, cut or of other exits are refused', async () => {
  const { heads: _, ...unhashed } = manifestIn(at('out'));
  const heads = (folder: string) => join(folder, 'heads.onnx');
  const bytes = readFileSync(heads(at('out')));
  const refused = async (folder: string, message: RegExp, manifest: Manifest = unhashed) =>
    assert.match(
      (await rejectsWith('unusable-heads', () => reopen(folder, manifest, { model, session }))).message,
      message,
    );
  const missing = copied((folder) => rmSync(heads(folder)));
  await refused(missing, /cannot be read/);
  const changed = copied((folder) => writeFileSync(heads(folder), Buffer.concat([bytes, Buffer.alloc(1)])));
  await refused(changed, /is not the one/, manifestIn(changed));
  const cut = copied((folder) => writeFileSync(heads(folder), bytes.subarray(0, 1000)));
  await refused(cut, /is damaged/);
  const fewer = copied(() => {});
  await refused(fewer, /is not of the exits/, { ...unhashed, exits: unhashed.exits.slice(1) });
});

test('sizes that symbolic dimensions turned into are found by name, or by input and axis', () => {
  const image = {
    name: 'image',
    type: { dataType: 'float', dims: ['batch', 3, 'side', undefined] },
  } as const;
  const graph = { ...tinyResidual({ seed: 4 }).graph, inputs: [image] };
  const inputs = [{ name: 'image', dataType: 'float', dims: ['N', 3, 8, 9] }] as const;
  assert.equal(sizesOf({ ...tinyResidual({ seed: 4 }), graph } as Model, inputs), {
    'image.1': 3,
    side: 8,
    'image.3': 9,
  });
});

test.run();
