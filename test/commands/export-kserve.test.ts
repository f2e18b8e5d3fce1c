/** What KServe is told, held against the fields that it documents, and the models in the layout that its Triton reads. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { compile } from '../../src/commands/compile.ts';
import { type ExportKserveOptions, exportKserve } from '../../src/commands/export-kserve.ts';
import { split } from '../../src/commands/split.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { runCli } from '../cli-in-process.ts';
import { rejectsWith } from '../expect.ts';
import { readModelConfig } from '../export/model-config.ts';
import { branchyNet } from '../models.ts';
import { tinyProject, withoutTraining } from '../tiny-project.ts';

const test = suite('export kserve');
const { at, writeSamples, compileOptions, remove } = tinyProject('kserve');
const model = at('Branchy_Net.onnx');
const STORAGE = 's3://bucket/models';

test.before(async () => {
  await writeSamples({ calibration: 90, test: 40 });
  writeFileSync(model, serializeModel(branchyNet()));
  const options = withoutTraining(compileOptions('package', { model }));
  await compile({ ...options, exitOutputs: ['exit1', 'exit2', 'logits'], taps: undefined as never });
  await split({ folder: at('package'), model, out: at('split'), at: ['fast', 'exact'] });
});
test.after(remove);

const exported = (out: string, more: Partial<ExportKserveOptions> = {}) =>
  exportKserve({ folder: at('package'), model, out: at(out), storage: STORAGE, ...more });

type Fields = { readonly [field: string]: Fields | string };
/**
 * Fields of serving.kserve.io/v1beta1 that are used, and their types, as the reference of the API has them: InferenceServiceSpec, PredictorSpec with
 * ComponentExtensionSpec, ModelSpec with PredictorExtensionSpec, and Kubernetes' ObjectMeta and ResourceRequirements.
 */
const SCHEMA: Fields = {
  apiVersion: 'string',
  kind: 'string',
  metadata: { name: 'string', labels: { 'app.kubernetes.io/name': 'string' } },
  spec: {
    predictor: {
      minReplicas: 'number',
      maxReplicas: 'number',
      model: {
        modelFormat: { name: 'string', version: 'string' },
        runtime: 'string',
        protocolVersion: 'string',
        storageUri: 'string',
        resources: {
          requests: { cpu: 'string', memory: 'string' },
          limits: { cpu: 'string', memory: 'string' },
        },
      },
    },
  },
};

function assertFits(value: unknown, fields: Fields | string, path: string): void {
  if (typeof fields === 'string') {
    assert.type(value, fields as 'string', path);
    return;
  }
  assert.type(value, 'object', path);
  assert.equal(Object.keys(value as object).sort(), Object.keys(fields).sort(), path);
  for (const [name, inner] of Object.entries(fields))
    assertFits((value as Record<string, unknown>)[name], inner, `${path}.${name}`);
}

function serviceIn(out: string) {
  const service = parse(readFileSync(at(`${out}/inference-service.yaml`), 'utf8'));
  assertFits(service, SCHEMA, '');
  assert.equal([service.apiVersion, service.kind], ['serving.kserve.io/v1beta1', 'InferenceService']);
  assert.match(service.metadata.name, /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
  const { modelFormat, runtime, protocolVersion } = service.spec.predictor.model;
  assert.equal([modelFormat, runtime, protocolVersion], [{ name: 'triton', version: '2' }, 'kserve-tritonserver', 'v2']);
  return service;
} // biome-ignore format: a call

test('a package becomes a repository of one model and a service of it', async () => {
  const { service, models, folder } = await exported('cluster');
  assert.equal([service, models, folder], ['branchy-net', ['branchy-net'], at('cluster')]);
  assert.equal(readdirSync(at('cluster')).sort(), ['inference-service.yaml', 'models']);
  assert.equal(readdirSync(at('cluster/models/branchy-net')).sort(), ['1', 'config.pbtxt']);
  const { metadata, spec } = serviceIn('cluster');
  const { minReplicas, maxReplicas, model } = spec.predictor;
  assert.equal([metadata.name, minReplicas, maxReplicas, model.storageUri], [service, 1, 1, STORAGE]);
  assert.equal(model.resources.limits, { cpu: '2', memory: '2Gi' });
  const more = { name: 'My_Net', instances: 3, threads: 2, memory: '4Gi', minReplicas: 0, maxReplicas: 9 };
  await exported('other', { ...more, storage: 'pvc://claim/models', at: 'fast' });
  const other = serviceIn('other');
  assert.is(other.metadata.name, 'my-net');
  assert.equal(other.spec.predictor.model.resources.requests, { cpu: '6', memory: '4Gi' });
  assert.equal([other.spec.predictor.minReplicas, other.spec.predictor.maxReplicas], [0, 9]);
});

test('what split made for a server is served as it is, without what Triton does not read', async () => {
  const { service, models } = await exportKserve({ folder: at('split/server'), out: at('of-split'), storage: STORAGE });
  assert.equal([service, models.length], ['branchy-net', 2]);
  assert.equal(readdirSync(at('of-split/models')).sort(), models.toSorted());
  serviceIn('of-split');
  for (const name of models) {
    assert.equal(readdirSync(at(`of-split/models/${name}`)).sort(), ['1', 'config.pbtxt']);
    const same = (path: string) => readFileSync(at(path)).toString('latin1');
    for (const file of ['config.pbtxt', '1/model.onnx'])
      assert.is(same(`of-split/models/${name}/${file}`), same(`split/server/${name}/${file}`));
    assert.is(readModelConfig(same(`of-split/models/${name}/config.pbtxt`)).name, name);
  }
  // Of another split, and somebody else's.
  for (const other of ['old_0123456789ab', 'mine']) cpSync(at(`of-split/models/${models[0]}`), at(`of-split/models/${other}`), { recursive: true });
  await exportKserve({ folder: at('split/server'), out: at('of-split'), storage: STORAGE, force: true });
  assert.equal(readdirSync(at('of-split/models')).sort(), [...models, 'mine'].sort());
}); // biome-ignore format: a call

test('what contradicts itself is refused, and nothing is written', async () => {
  const refused = async (code: string, more: Partial<ExportKserveOptions>, says?: RegExp) => {
    const { message, hint } = await rejectsWith(code, () => exported('nowhere', more));
    if (says) assert.match(`${message} ${hint}`, says);
    assert.not.ok(existsSync(at('nowhere')));
  };
  await refused('bad-option', { minReplicas: 3, maxReplicas: 2 }, /at least 3/);
  await refused('bad-option', { folder: at('split/server') }, /`model`.*it with a package/);
  await refused('original-missing', { model: undefined as never });
  await refused('not-a-package', { folder: at('.') });
  await rejectsWith('output-not-empty', () => exported('cluster'));
  await exported('cluster', { force: true, at: 'exact' });
});

test('on the command line', async () => {
  const words = ['export', 'kserve', at('split/server'), at('shown'), '--storage', STORAGE];
  const { status, stdout, stderr } = await runCli(at('.'), words);
  assert.is(status, 0, stderr);
  assert.match(stdout, /^Written to .*shown: branchy_net_[0-9a-f]{12}, branchy_net_[0-9a-f]{12}\nNext: copy .*models to s3/);
  assert.is((await runCli(at('.'), words.slice(0, 4))).status, 2);
}); // biome-ignore format: a call

test.run();
