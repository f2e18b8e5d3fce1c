import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv2020 from 'ajv/dist/2020.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { printValidator, VALIDATORS } from '../../scripts/validators.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { printManifest, readManifest, shortestFloat32 } from '../../src/emit/manifest-json.ts';
import { findViolation, type Validator } from '../../src/emit/violation.ts';
import type { OfframpError } from '../../src/errors/index.ts';
import { ROOT } from '../house/sources.ts';
import { SAMPLE, sampleExits, samplePoint, unlabelled } from './sample.ts';

const test = suite('emit: manifest');

const schema = JSON.parse(
  readFileSync(new URL('../../schema/manifest.schema.json', import.meta.url), 'utf8'),
);
const validate = new Ajv2020.default({ allowUnionTypes: true, allErrors: true }).compile(schema);

test('the generated validators are of the schemas as they are: npm run schema', () => {
  for (const [schema, module] of VALIDATORS)
    assert.ok(readFileSync(join(ROOT, module), 'utf8') === printValidator(schema), module);
});

const read = (value: unknown) => readManifest(JSON.stringify(value));

/** SAMPLE with the value at `path` replaced, or removed when undefined. */
function changed(path: string, value: unknown): unknown {
  const copy = structuredClone(SAMPLE) as unknown as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop()!;
  const holder = keys.reduce((at, key) => at[key] as Record<string, unknown>, copy);
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return copy;
}

const [fast] = SAMPLE.operatingPoints;
const VALID: Record<string, unknown> = {
  sample: SAMPLE,
  'no labels': unlabelled(SAMPLE),
  'no images': { ...SAMPLE, preprocessing: null },
  'flat input': changed('preprocessing.layout', 'flat'),
  'not measured': { ...SAMPLE, latency: null },
  baked: changed('outputs.thresholds', null),
  'nothing promised': changed('calibration.confidence', undefined),
  'exits of its own': changed('source.exitOutputs', ['early', 'logits']),
  // ImageNet has two cranes.
  'a class name twice': changed('labels', ['cat', 'dog', 'cat']),
  'a policy that learns': {
    ...SAMPLE,
    policyFit: { parameters: { weight: [0.25, -1.5], bias: [] }, data: { samples: 40, hash: 'dd44' } },
  },
  'an ensembled final answer': { ...SAMPLE, final: { weight: 0.125 } },
  'float16 scores': changed('outputs.dataType', 'float16'),
  'one exit': {
    ...SAMPLE,
    exits: sampleExits(1),
    operatingPoints: [samplePoint('balanced', [0.5], 0.7)],
  },
  'scalar input': changed('inputs.0.dims', []),
  'negative threshold': changed('operatingPoints.0.thresholds', [-1, 0.5]),
};

/** Departures from the schema, with the place the error must name. */
const BROKEN: readonly (readonly [where: string, value: unknown])[] = [
  ['the file', []],
  ['source', changed('source', undefined)],
  ['source.file', changed('source.file', '/home/me/pets.onnx')],
  ['source.sha256', changed('source.sha256', 'ABCD')],
  ['source.exitOutputs', changed('source.exitOutputs', ['logits'])],
  ['seed', changed('seed', 1.5)],
  ['policyFit.data', changed('policyFit', { parameters: {} })],
  [
    'policyFit.parameters.weight',
    changed('policyFit', { parameters: { weight: 1 }, data: SAMPLE.data.train }),
  ],
  ['final.weight', { ...SAMPLE, final: { weight: -0.1 } }],
  ['calibration.target', changed('calibration.target', 'speed')],
  ['calibration.budgets[0]', changed('calibration.budgets.0', '0.6')],
  ['classes', changed('classes', 0)],
  ['labels[1]', changed('labels', ['cat', 2, 'dog'])],
  ['inputs', changed('inputs', [])],
  ['inputs[0].dataType', changed('inputs.0.dataType', 'float32')],
  ['inputs[0].dims[0]', changed('inputs.0.dims.0', 'batch')],
  ['inputs[0].dims[1]', changed('inputs.0.dims.1', 0)],
  ['outputs.thresholds', changed('outputs.thresholds', undefined)],
  ['activation', changed('activation', 'relu')],
  ['preprocessing.std', changed('preprocessing.std', [])],
  ['exits', changed('exits', [])],
  ['exits[1].costMacs', changed('exits.1.costMacs', undefined)],
  ['baseline.accuracy', changed('baseline.accuracy', 93)],
  ['operatingPoints[0].thresholds[0]', changed('operatingPoints.0.thresholds.0', 1.01)],
  ['operatingPoints[0].latencyMsP50', changed('operatingPoints.0.latencyMsP50', -1)],
  ['operatingPoints[0].note', changed('operatingPoints.0.note', 'hello')],
  ['measuredOn', changed('measuredOn', 'train')],
  ['latency.p95s.fast', changed('latency.p95s.fast', 'slow')],
  ['data.holdout', changed('data.holdout', { samples: 1, hash: 'x' })],
  ['data.train.path', changed('data.train.path', '/home/me/data')],
  ['sessionOptions.threads', changed('sessionOptions.threads', 0)],
  ['date', changed('date', 'today')],
];

test('valid manifests pass the published schema and the reader', () => {
  for (const [name, value] of Object.entries(VALID)) {
    assert.ok(validate(value), `${name}: ${JSON.stringify(validate.errors)}`);
    assert.equal(read(value), JSON.parse(JSON.stringify(value)), name);
  }
});

test('a manifest of before, which says last, is read as final', () => {
  const before = { ...SAMPLE, last: { weight: 0.125 } };
  assert.equal(read(before), read({ ...SAMPLE, final: { weight: 0.125 } }));
  assert.throws(() => read({ ...before, final: { exits: [true] } }), /final|last/);
});

test('broken manifests fail both, and the reader names the place', () => {
  for (const [where, value] of BROKEN) {
    assert.not(validate(value), where);
    assert.throws(
      () => read(value),
      (error: OfframpError) =>
        error.code === 'invalid-manifest' && error.message.startsWith(`manifest: ${where} `),
      where,
    );
  }
});

test('preprocessing that gives no numbers is refused, also on writing', () => {
  const cases: readonly (readonly [where: string, value: unknown])[] = [
    ['preprocessing.scale', changed('preprocessing.scale', 0)],
    ['preprocessing.scale', changed('preprocessing.scale', -255)],
    ['preprocessing.scale', changed('preprocessing.scale', 1e-50)],
    ['preprocessing.scale', changed('preprocessing.scale', 1e39)],
    ['preprocessing.rescale', changed('preprocessing.rescale', 1e39)],
    ['preprocessing.std', changed('preprocessing.std.1', 0)],
    ['preprocessing.std', changed('preprocessing.std', [1, 1])],
    ['preprocessing.mean', changed('preprocessing.mean.2', 1e39)],
    ['preprocessing.mean', changed('preprocessing.mean', [0])],
    ['preprocessing.mean', changed('preprocessing.mean', [0, 0, 0, 0])],
  ];
  for (const [where, value] of cases)
    for (const use of [read, (manifest: unknown) => printManifest(manifest as Manifest)])
      assert.throws(
        () => use(value),
        (error: OfframpError) =>
          error.code === 'invalid-manifest' && error.message.startsWith(`manifest: ${where} `),
        JSON.stringify(where),
      );
});

test('each rule of a schema has its own words', () => {
  const ajv = new Ajv2020.default({ allowUnionTypes: true });
  const problems: [rule: object, value: unknown, problem: string][] = [
    [{ type: 'integer' }, 0.5, 'the file should be integer, is 0.5'],
    [{ type: ['string', 'null'] }, [], 'the file should be string or null, is []'],
    [{ const: 1 }, 2, 'the file should be 1, is 2'],
    [{ enum: ['a', 'b'] }, 'c', 'the file should be one of "a", "b", is "c"'],
    [{ type: 'string', minLength: 1 }, '', 'the file is empty'],
    [{ type: 'string', pattern: '^a' }, 'b', 'the file should match ^a, is "b"'],
    [{ type: 'number', minimum: 1 }, 0, 'the file is 0, below 1'],
    [{ type: 'number', maximum: 1 }, 2, 'the file is 2, above 1'],
    [{ type: 'number', exclusiveMinimum: 1 }, 1, 'the file is 1, not above 1'],
    [{ type: 'number', exclusiveMaximum: 1 }, 1, 'the file is 1, not below 1'],
    [{ type: 'array', minItems: 2 }, [1], 'the file has 1 entries, needs 2 at least'],
    [{ type: 'object', required: ['a'] }, { a: undefined }, 'a is missing'],
    [{ type: 'object', additionalProperties: false }, { 'a/b~': 1 }, 'a/b~ is not known'],
    [
      { type: 'array', items: { type: 'object', properties: { 'a/b~': { type: 'null' } } } },
      [{}, { 'a/b~': 1 }],
      '[1].a/b~ should be null, is 1',
    ],
  ];
  for (const [rule, value, expected] of problems) {
    const found = findViolation(value, ajv.compile(rule) as Validator);
    assert.is(`${found?.where} ${found?.problem}`, expected);
  }
  assert.is(findViolation('a', ajv.compile({ type: 'string' }) as Validator), undefined);
});

test('parts that do not fit each other are found', () => {
  const misfits: [where: string, value: unknown][] = [
    ['labels', changed('labels', ['cat', 'dog'])],
    ['operatingPoints[1].thresholds', changed('operatingPoints.1.thresholds', [0.5])],
    ['operatingPoints[0].exitShares', changed('operatingPoints.0.exitShares', [0.5, 0.5])],
    ['operatingPoints[1].name', changed('operatingPoints.1', fast)],
    ['defaultPoint', changed('defaultPoint', 'quick')],
  ];
  for (const [where, value] of misfits) {
    assert.throws(() => read(value), new RegExp(`^manifest: ${where.replace(/[[\]]/g, '\\$&')} `), where);
  }
});

test('text that is no JSON and versions of the future have codes', () => {
  const codeOf = (act: () => unknown) => {
    try {
      act();
    } catch (error) {
      return (error as OfframpError).code;
    }
  };
  assert.is(
    codeOf(() => readManifest('{')),
    'invalid-manifest',
  );
  assert.is(
    codeOf(() => readManifest('null')),
    'invalid-manifest',
  );
  assert.is(
    codeOf(() => read({ schemaVersion: 2 })),
    'manifest-version-unknown',
  );
});

test('printing is stable: key order, float32 thresholds, round trip', () => {
  const text = printManifest(SAMPLE);
  assert.equal(readManifest(text), SAMPLE);
  assert.is(printManifest(readManifest(text)), text);
  const shuffled = Object.fromEntries(Object.entries(SAMPLE).reverse()) as unknown as typeof SAMPLE;
  assert.is(printManifest(shuffled), text);
  assert.ok(text.endsWith('}\n') && text.startsWith('{\n  "schemaVersion": 1,\n'));
  assert.match(text, '"thresholds": [\n        0.3,\n        0.25\n      ]');
});

test('a number that JSON cannot hold is refused, not written as null', () => {
  assert.throws(
    () => printManifest({ ...SAMPLE, baseline: { ...SAMPLE.baseline, accuracy: Number.NaN } }),
    /baseline\.accuracy/,
  );
});

test('shortestFloat32 is short and exact', () => {
  const bits = new DataView(new ArrayBuffer(4));
  for (let i = 0; i < 20_000; i++) {
    bits.setUint32(0, Math.imul(i, 2654435761));
    const value = bits.getFloat32(0);
    if (!Number.isFinite(value)) continue;
    const short = shortestFloat32(value);
    assert.is(Math.fround(short), value);
    assert.ok(
      String(short)
        .replace(/e.*/, '')
        .replace(/\D/g, '')
        .replace(/^0+|0+$/g, '').length <= 9,
    );
  }
  assert.is(String(shortestFloat32(Math.fround(0.1))), '0.1');
  assert.is(shortestFloat32(Math.fround(1 - 2 ** -24)), 0.99999994);
});

test.run();
