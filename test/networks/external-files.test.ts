/** Two networks that both have a `model.onnx.data`, from their folders through one session to one written folder. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Content, writeOutput } from '../../src/emit/write.ts';
import { GraphBuilder, makeModel, makeNode } from '../../src/graph/builder.ts';
import type { Model, Tensor } from '../../src/graph/types.ts';
import { openDataFolder } from '../../src/networks/data-folder.ts';
import { type Copied, nameExternalFiles } from '../../src/networks/external-files.ts';
import { Tensor as OrtTensor, withSession } from '../../src/ort/session.ts';
import {
  type LoadedModel,
  loadModel,
  renameExternal,
  serializeModel,
  serializeWithData,
} from '../../src/parser/index.ts';
import { shareInitializers } from '../../src/passes/share-initializers.ts';
import { rejectsWith } from '../expect.ts';

const test = suite<{ root: string; cache: string }>('networks: external files');

test.before.each((context) => {
  context.root = realpathSync(mkdtempSync(join(tmpdir(), 'offramp-networks-')));
  context.cache = join(context.root, 'cache');
});
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

const SIZE = 20_000;

function outside(name: string, location: string, offset = 0): Tensor {
  const external = { location, offset, length: 4 * SIZE };
  return { name, dataType: 'float', dims: [SIZE], bytes: new Uint8Array(0), external };
}

/** <id>/y = x + w + k + u: `w` is an initializer, `k` a Constant and `u` of a branch, each at its own place in the file at `location`. */
function adder(id: string, location: string): Model {
  const inner = new GraphBuilder();
  inner.initializer(outside(`${id}/u`, location, 8 * SIZE));
  inner.nodes.push(makeNode('Add', [`${id}/xwk`, `${id}/u`], [`${id}/then`]));
  inner.output(`${id}/then`, 'float', [SIZE]);
  const other = new GraphBuilder();
  other.nodes.push(makeNode('Identity', [`${id}/xwk`], [`${id}/else`]));
  other.output(`${id}/else`, 'float', [SIZE]);
  const b = new GraphBuilder();
  b.input('x', 'float', [1]);
  b.initializer(outside(`${id}/w`, location));
  b.initializer({ name: `${id}/yes`, dataType: 'bool', dims: [], bytes: Uint8Array.of(1) });
  b.nodes.push(
    makeNode('Add', ['x', `${id}/w`], [`${id}/xw`]),
    makeNode('Constant', [], [`${id}/k`], { value: outside(`${id}/k`, location, 4 * SIZE) }),
    makeNode('Add', [`${id}/xw`, `${id}/k`], [`${id}/xwk`]),
    makeNode('If', [`${id}/yes`], [`${id}/y`], {
      then_branch: inner.build(`${id}/then`),
      else_branch: other.build(`${id}/else`),
    }),
  );
  b.output(`${id}/y`, 'float', [SIZE]);
  return makeModel(b.build(id));
}

/** Saves an `adder` of w, k, u = first, first + 1, first + 2 in `folder`. */
async function save(folder: string, id: string, first: number, location = 'model.onnx.data') {
  mkdirSync(dirname(join(folder, location)), { recursive: true });
  const values = Float32Array.from({ length: 3 * SIZE }, (_, i) => first + Math.floor(i / SIZE));
  writeFileSync(join(folder, location), new Uint8Array(values.buffer));
  writeFileSync(join(folder, 'model.onnx'), serializeModel(adder(id, location)));
  return { id, source: await loadModel(join(folder, 'model.onnx')) };
}

type Loaded = { readonly id: string; readonly source: LoadedModel };

/** All of `networks` side by side, their external data renamed. */
async function merge(networks: readonly Loaded[]) {
  const external = await nameExternalFiles(networks);
  const models = networks.map(({ id, source }) => renameExternal(source.model, external.renames.get(id)!));
  const last = models.at(-1)!;
  const graph = {
    ...last.graph,
    nodes: models.flatMap((m) => m.graph.nodes),
    initializers: models.flatMap((m) => m.graph.initializers),
    outputs: models.flatMap((m) => m.graph.outputs),
  };
  return { external, model: { ...last, graph } };
}

/** The first element of each output at x = 100; all elements of an output are equal. */
const run = (model: Uint8Array, externalDataFolder: string | undefined) =>
  withSession(model, { externalDataFolder }, async (session) => {
    const outputs = await session.run({ x: new OrtTensor('float32', [100], [1]) });
    return session.outputNames.map((name) => {
      const values = outputs[name]!.data as Float32Array;
      assert.ok(values.every((v) => v === values[0]));
      return values[0];
    });
  });

test('two files of one name: one session before anything is written, one folder afterwards', async ({
  root,
  cache,
}) => {
  const networks = [
    await save(join(root, 'small'), 'first_1', 1),
    await save(join(root, 'large'), 'original', 10),
  ];
  const { external, model } = await merge(networks);
  assert.equal(
    [...external.files],
    [
      ['model.onnx.data', { copyOf: join(root, 'large/model.onnx.data') }],
      ['first_1.model.onnx.data', { copyOf: join(root, 'small/model.onnx.data') }],
    ],
  );
  assert.is(model.graph.initializers[2], networks[1]!.source.model.graph.initializers[0], 'untouched');
  const bytes = serializeModel(model);
  const { folder, close } = await openDataFolder(external.files, cache);
  assert.equal(await run(bytes, folder), [106, 133]);
  await close();
  assert.equal(readdirSync(cache), []);
  const out = join(root, 'out');
  await writeOutput(out, new Map<string, Content>([['model.onnx', bytes], ...external.files]));
  const written = await loadModel(join(out, 'model.onnx'));
  assert.equal(written.externalFiles, ['first_1.model.onnx.data', 'model.onnx.data']);
  assert.equal(await run(written.bytes, out), [106, 133]);
});

test('a file that two networks use is there once, and so are its weights', async ({ root, cache }) => {
  const original = await save(join(root, 'one'), 'original', 1);
  symlinkSync(join(root, 'one'), join(root, 'two'));
  const same = await loadModel(join(root, 'two/model.onnx'));
  // Values of a first network begin with its id: as whoever merges does it.
  const first = {
    id: 'first_1',
    source: { ...same, model: { ...same.model, graph: adder('first_1', './model.onnx.data').graph } },
  };
  const { external, model } = await merge([first, original]);
  assert.equal([...external.files.keys()], ['model.onnx.data']);
  const graph = shareInitializers(new Set(['original/w'])).run(model.graph);
  assert.equal(
    graph.initializers.map((t) => t.name),
    ['first_1/yes', 'original/w', 'original/yes'],
  );
  const { folder, close } = await openDataFolder(external.files, cache);
  assert.is(folder, join(root, 'one'), 'nothing to gather');
  assert.equal(await run(serializeModel({ ...model, graph }), folder), [106, 106]);
  await close();
  assert.ok(readdirSync(root).includes('one'));
});

test('weights that the merged model has no room for lie beside those it had outside', async ({
  root,
  cache,
}) => {
  const networks = [
    await save(join(root, 'small'), 'first_1', 1, 'first.bin'),
    await save(join(root, 'large'), 'original', 10),
  ];
  const { external, model } = await merge(networks);
  assert.is(external.free, 'model.onnx.data_2', "the original's own location stays free for it");
  const inline = Float32Array.from({ length: SIZE }, () => 0.5);
  const added: Tensor = {
    name: 'inline',
    dataType: 'float',
    dims: [SIZE],
    bytes: new Uint8Array(inline.buffer),
  };
  const graph = {
    ...model.graph,
    nodes: [...model.graph.nodes, makeNode('Add', ['original/y', 'inline'], ['z'])],
    initializers: [...model.graph.initializers, added],
    outputs: [model.graph.outputs[0]!, { name: 'z', type: { dataType: 'float' as const, dims: [SIZE] } }],
  };
  const { model: bytes, data } = serializeWithData(
    { ...model, graph },
    { location: external.free, limit: 20_000 },
  );
  const files = new Map<string, Copied | readonly Uint8Array[]>([...external.files, [external.free, data!]]);
  const { folder, close } = await openDataFolder(files, cache);
  assert.equal(await run(bytes, folder), [106, 133.5]);
  await close();
  const out = join(root, 'out');
  await writeOutput(out, new Map<string, Content>([['model.onnx', bytes], ...files]));
  assert.equal(await run(readFileSync(join(out, 'model.onnx')), out), [106, 133.5]);
});

test('names are free of folders, of odd characters and of each other', async ({ root }) => {
  const has = (id: string, folder: string, externalFiles: readonly string[]) => {
    for (const location of externalFiles) {
      mkdirSync(dirname(join(root, folder, location)), { recursive: true });
      writeFileSync(join(root, folder, location), '');
    }
    return { id, source: { folder: join(root, folder), externalFiles } };
  };
  const networks = [
    has('first_1', 'a', ['./w/deep.bin', 'w.deep.bin', 'W.DEEP.BIN', 'ein Gewicht%ü.bin', 'taken']),
    has('first_2', 'b', ['w/deep.bin']),
    has('original', 'c', ['first_1.taken/x', 'Model.onnx.data']),
  ];
  const { files, renames, free } = await nameExternalFiles(networks);
  assert.equal(
    [...files.keys()],
    [
      'first_1.taken/x',
      'Model.onnx.data',
      'first_1.w.deep.bin',
      'first_1.w.deep.bin_2',
      'first_1.W.DEEP.BIN_3',
      'first_1.ein_Gewicht__.bin',
      'first_1.taken_2',
      'first_2.w.deep.bin',
    ],
  );
  assert.is(free, 'model.onnx.data_2');
  assert.is(renames.get('first_1')!('w/deep.bin'), 'first_1.w.deep.bin');
  assert.is(renames.get('first_1')!('elsewhere'), undefined);
  assert.is(renames.get('original')!('Model.onnx.data'), 'Model.onnx.data');
  assert.equal([...(await nameExternalFiles(networks)).files], [...files]);
});

test('a location that no file is known for is not left as it was', async () => {
  const model = adder('first_1', 'gone.bin');
  await rejectsWith('external-data-missing', async () => renameExternal(model, () => undefined));
  assert.is(
    renameExternal(model, (location) => location),
    model,
  );
});

test('one network has its own folder, and one without external data none', async ({ root, cache }) => {
  const original = await save(join(root, 'large'), 'original', 1, 'weights/w.bin');
  const { files } = await nameExternalFiles([original]);
  assert.is((await openDataFolder(files, cache)).folder, join(root, 'large'));
  assert.is((await openDataFolder(new Map(), cache)).folder, undefined);
  assert.not.ok(readdirSync(root).includes('cache'));
});

test('a file that is gone, and a cache that takes nothing, are said', async ({ root, cache }) => {
  const networks = [
    await save(join(root, 'small'), 'first_1', 1),
    await save(join(root, 'large'), 'original', 10),
  ];
  const { files } = await nameExternalFiles(networks);
  rmSync(join(root, 'small/model.onnx.data'));
  const gone = await rejectsWith('external-data-gone', () => openDataFolder(files, cache));
  assert.match(gone.message, 'small/model.onnx.data');
  assert.equal(readdirSync(cache), [], 'nothing is left');
  await rejectsWith('external-data-gone', () => nameExternalFiles(networks));
  writeFileSync(join(root, 'file'), '');
  await rejectsWith('cache-unwritable', () => openDataFolder(files, join(root, 'file')));
});

test('files and folders may be read-only', async ({ root, cache }) => {
  const networks = [
    await save(join(root, 'small'), 'first_1', 1),
    await save(join(root, 'large'), 'original', 10),
  ];
  for (const folder of ['small', 'large']) {
    chmodSync(join(root, folder, 'model.onnx.data'), 0o444);
    chmodSync(join(root, folder), 0o555);
  }
  const { external, model } = await merge(networks);
  const { folder, close } = await openDataFolder(external.files, cache);
  assert.equal(await run(serializeModel(model), folder), [106, 133]);
  await close();
  for (const name of ['small', 'large']) chmodSync(join(root, name), 0o755);
  assert.is(statSync(join(root, 'small/model.onnx.data')).size, 12 * SIZE);
});

test('an abort leaves nothing', async ({ root, cache }) => {
  const networks = [
    await save(join(root, 'small'), 'first_1', 1),
    await save(join(root, 'large'), 'original', 10),
  ];
  const { files } = await nameExternalFiles(networks);
  const reason = new Error('stopped');
  const thrown = await openDataFolder(files, cache, AbortSignal.abort(reason)).catch((error) => error);
  assert.is(thrown, reason);
  assert.equal(readdirSync(cache), []);
});

test.run();
