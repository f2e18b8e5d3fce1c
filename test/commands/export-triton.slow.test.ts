import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { type ExportTritonOptions, exportTriton } from '../../src/commands/export-triton.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { assertServes, type ModelConfig, type ModelTensor, readModelConfig } from '../export/model-config.ts';
import { tinyResidual } from '../models.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject, writeWithExternalData } from '../tiny-project.ts';

const test = suite('export triton');
const LABELS = ['ant', 'bee', 'cat', 'dog', 'eel'];
const { folder, model, at, writeSamples, compileOptions, remove } = tinyProject('triton', {
  epochs: 1,
  views: 1,
  seed: 3,
});

test.before(async () => {
  writeFileSync(at('labels.txt'), LABELS.join('\n'));
  await writeSamples({ train: 400, calibration: 300, test: 60 });
  await compiled('package', { labels: at('labels.txt') });
});

test.after(remove);

const compiled = (out: string, more: Partial<CompileOptions> = {}) => compile(compileOptions(out, more));

const exported = (repository: string, more: Partial<ExportTritonOptions> = {}) =>
  exportTriton({ folder: at('package'), repository: at(repository), model, ...more });

/** Reads the configuration of `name`, checks it against the model beside it, and sends the warm-up requests. */
async function served(repository: string, name = 'tiny-net'): Promise<ModelConfig> {
  const home = join(at(repository), name);
  const config = readModelConfig(readFileSync(join(home, 'config.pbtxt'), 'utf8'));
  assert.is(config.name, name);
  assert.is(config.backend, 'onnxruntime');
  for (const { label_filename } of config.output)
    if (label_filename) assert.ok(existsSync(join(home, label_filename)));
  const file = join(home, '1/model.onnx');
  const path = existsSync(join(file, 'model.onnx')) ? join(file, 'model.onnx') : file;
  await withSession(path, { threads: 1 }, async (session) => {
    const tensors = (of: readonly object[]) => of as readonly ModelTensor[];
    assertServes(config, tensors(session.inputMetadata), tensors(session.outputMetadata));
    for (const { batch_size, inputs } of config.model_warmup) {
      const feeds = Object.entries(inputs).map(([input, { dims }]) => {
        const shape = config.max_batch_size > 0 ? [batch_size, ...dims] : [...dims];
        return [
          input,
          new Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b)), shape),
        ] as const;
      });
      const outputs = await session.run(Object.fromEntries(feeds));
      assert.equal(outputs.exit_index!.dims, [batch_size]);
      assert.equal(outputs.exit_confidence!.dims, [batch_size]);
    }
  });
  return config;
}

const bytes = (path: string) => readFileSync(at(path)).toString('latin1');

test('the repository of a model whose thresholds are an input holds what compile would have baked', async () => {
  const result = await exported('repository');
  assert.equal(readdirSync(join(result.folder)).sort(), ['1', 'config.pbtxt', 'labels.txt']);
  assert.is(bytes('repository/tiny-net/labels.txt'), `${LABELS.join('\n')}\n`);
  const config = await served('repository');
  assert.is(config.max_batch_size, result.maxBatch);
  assert.equal(
    config.output.map(({ name, label_filename }) => [name, label_filename]),
    [
      ['scores', 'labels.txt'],
      ['exit_index', undefined],
      ['exit_confidence', undefined],
    ],
  );
  assert.equal(
    { at: result.at, instances: result.instances, threads: result.threads },
    { at: 'balanced', instances: 2, threads: 1 },
  );
  await compiled('named', { thresholds: 'baked', labels: at('labels.txt') });
  assert.is(bytes('repository/tiny-net/1/model.onnx'), bytes('named/model.onnx'));

  await exported('again');
  assert.is(bytes('again/tiny-net/config.pbtxt'), bytes('repository/tiny-net/config.pbtxt'));

  await compiled('baked', { thresholds: 'baked' });
  await exported('from-baked', { folder: at('baked'), model: undefined as never });
  assert.is(bytes('from-baked/tiny-net/1/model.onnx'), bytes('baked/model.onnx'));
  assert.is((await served('from-baked')).output[0]!.label_filename, undefined);
});

test('another point, batch, name; beside other models; a policy that has learned', async () => {
  mkdirSync(at('shared/other'), { recursive: true });
  writeFileSync(at('shared/other/config.pbtxt'), '');
  const more = { at: 'fast', name: 'tiny_fast', maxBatch: 4, instances: 3, threads: 2 };
  await exported('shared', more);
  const config = await served('shared', 'tiny_fast');
  assert.is(config.max_batch_size, 4);
  assert.equal(config.dynamic_batching, { max_queue_delay_microseconds: 0 });
  assert.equal(config.instance_group, [{ count: 3, kind: 2 }]);
  assert.is(config.parameters.intra_op_thread_count!.string_value, '2');
  assert.match(
    bytes('shared/tiny_fast/config.pbtxt'),
    /^# tiny-net\.onnx with early exits, at the operating point fast,/,
  );
  assert.equal(readdirSync(at('shared')).sort(), ['other', 'tiny_fast']);

  assert.match((await rejectsWith('output-not-empty', () => exported('shared', more))).message, /tiny_fast/);
  await exported('shared', { ...more, at: 'exact', force: true });
  await served('shared', 'tiny_fast');
  assert.match(bytes('shared/tiny_fast/config.pbtxt'), /operating point exact/);

  await compiled('learned', { policy: 'gain' });
  await compiled('learned-baked', { policy: 'gain', thresholds: 'baked', at: 'fast' });
  await exported('learned-repository', { folder: at('learned'), at: 'fast' });
  assert.is(bytes('learned-repository/tiny-net/1/model.onnx'), bytes('learned-baked/model.onnx'));
  // The other way: a package with one point built in, and another one asked for.
  await exported('rebaked', { folder: at('learned-baked'), at: 'balanced' });
  await served('rebaked');
});

test('a fixed batch is not batched', async () => {
  const fixed = at('fixed.onnx');
  writeFileSync(fixed, serializeModel(tinyResidual({ seed: 4, batch: 1 })));
  await compiled('fixed', { model: fixed });
  const { maxBatch } = await exported('fixed-repository', { folder: at('fixed'), model: fixed, maxBatch: 8 });
  assert.is(maxBatch, 0);
  const config = await served('fixed-repository', 'fixed');
  assert.is(config.max_batch_size, 0);
  assert.equal(config.output[1]!.dims, [1]);
});

test('a model with external data becomes a folder called model.onnx', async () => {
  mkdirSync(at('external-model'));
  const path = at('external-model/tiny-net.onnx');
  writeWithExternalData(tinyResidual({ seed: 4 }), path);
  await compiled('external', { model: path });
  const externalDataFolder = at('external-weights');
  mkdirSync(externalDataFolder);
  renameSync(at('external-model/weights.bin'), at('external-weights/weights.bin'));
  await exported('external-repository', { folder: at('external'), model: path, externalDataFolder });
  assert.equal(readdirSync(at('external-repository/tiny-net/1/model.onnx')).sort(), [
    'model.onnx',
    'weights.bin',
  ]);
  await served('external-repository');

  await compiled('external-baked', { model: path, externalDataFolder, thresholds: 'baked' });
  await exported('external-baked-repository', { folder: at('external-baked'), model: undefined as never });
  await served('external-baked-repository');
});

test('what cannot be exported is refused, and nothing is written', async () => {
  const refused = async (code: string, more: Partial<ExportTritonOptions>) => {
    await rejectsWith(code, () => exported('nowhere', more));
    assert.not.ok(existsSync(at('nowhere')));
  };
  await refused('original-missing', { model: undefined as never });
  await refused('unknown-operating-point', { at: 'warp' });
  await refused('not-a-package', { folder });
  await refused('bad-option', { name: 'a/b' });
  await refused('bad-option', { maxBatch: 0 });
  await refused('bad-option', { threads: 1.5 });
  const other = at('other.onnx');
  writeFileSync(other, serializeModel(tinyResidual({ seed: 5 })));
  await refused('other-model', { model: other });
  // Scores that are declared for one sample, whatever the inputs say.
  await compiled('stuck', { thresholds: 'baked' });
  const file = at('stuck/model.onnx');
  const { graph, ...rest } = parseModel(readFileSync(file));
  const outputs = graph.outputs.map((value) =>
    value.name === 'scores' ? { ...value, type: { ...value.type!, dims: [1, 5] } } : value,
  );
  writeFileSync(file, serializeModel({ ...rest, graph: { ...graph, outputs } }));
  await refused('cannot-batch', { folder: at('stuck'), model: undefined as never });
});

test('what is served is chosen by what early exits bear', async () => {
  const manifest = manifestIn(at('package'));
  const exact = await exported('exact', { at: 'exact' });
  assert.is(exact.maxBatch, 32);
  assert.ok(manifest.operatingPoints.some(({ name }) => name === 'fast'));
  const fast = await exported('fast', { at: 'fast' });
  assert.ok(fast.maxBatch <= 32 && fast.maxBatch >= 1);
});

test.run();
