/** The example server as clients of the Open Inference Protocol meet it: a split's server folder of small parts, and a compiled package. */
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fromHalf, toHalf } from '../../examples/node-server/half.ts';
import { noise } from '../models.ts';
import {
  type Answered,
  answersOf,
  byHand,
  FEATURES,
  infer,
  outputsOf,
  requestOf,
  type Sent,
  type SplitFolder,
  samplesOf,
  sentOf,
  writeSlow,
  writeSplit,
  writeWords,
} from './infer.ts';
import {
  cleanUp,
  launch,
  metric,
  POINTS,
  root,
  type Server,
  SIDE,
  start,
  until,
  writePackage,
} from './serve.ts';

const test = suite('examples: node-server, Open Inference Protocol');
const SAMPLES = samplesOf(64);
let split: SplitFolder;
let expected: Answered[];
let server: Server;
/** Of a compiled package. */
let whole: Server;

test.before(async () => {
  split = writeSplit(join(root, 'split'));
  expected = await byHand(split, SAMPLES);
  await writePackage(join(root, 'whole'));
  [server, whole] = await Promise.all([
    start(split.folder, '--allow-origin', 'https://app.example', '--allow-origin', 'http://localhost:5173'),
    start(join(root, 'whole')),
  ]);
});
test.after(cleanUp);

test('says what it is, what models there are, and that they are ready', async () => {
  assert.equal(await said(server, '/v2'), {
    name: 'onnx-offramp example server', version: '1', extensions: ['binary_tensor_data'],
  }); // biome-ignore format: one row
  assert.equal(await said(server, '/v2/health/live'), { live: true });
  assert.equal(await said(server, '/v2/health/ready'), { ready: true });
  const metadata = {
    name: split.rest,
    versions: ['1'],
    platform: 'onnx_onnxv1',
    inputs: [
      { name: 'pixels', datatype: 'UINT8', shape: [-1, 3, 4, 4] },
      { name: 'policy_state', datatype: 'FP32', shape: [-1, 2] },
    ],
    outputs: [
      { name: 'scores', datatype: 'FP32', shape: [-1, 5] },
      { name: 'exit_index', datatype: 'INT64', shape: [-1] },
      { name: 'exit_confidence', datatype: 'FP32', shape: [-1] },
    ],
  };
  for (const path of [`/v2/models/${split.rest}`, `/v2/models/${split.rest}/versions/1`]) {
    assert.equal(await said(server, path), metadata);
    assert.equal(await said(server, `${path}/ready`), { name: split.rest, ready: true });
    assert.is((await fetch(server.url + path, { method: 'HEAD' })).status, 200);
  }
});

test('answers are those of the parts run one after the other, in requests of 1, 7 and 64 samples', async () => {
  assert.equal(new Set(expected.map(({ exit }) => exit)), new Set([0, 1, 2]));
  expectAnswers(await answersOf(server.url, split.rest, SAMPLES), expected);
  expectAnswers(await answersOf(server.url, split.rest, SAMPLES.slice(9, 16)), expected.slice(9, 16));
  for (const n of [2, 3, 4])
    expectAnswers(await answersOf(server.url, split.rest, [SAMPLES[n]!]), [expected[n]!]);
});

test('JSON, flat or in lists, says the same as bytes; the caller chooses, output by output', async () => {
  const id = 'mine';
  const three = SAMPLES.slice(0, 3);
  const [pixels, state] = sentOf(three, false) as [Sent, Sent];
  const nested = { ...state, data: three.map((sample) => [...sample.state]) };
  for (const inputs of [[pixels, state], [nested, pixels], [sentOf(three)[0]!, nested]]) {
    const response = await infer(server.url, split.rest, requestOf(inputs, { id, parameters: { other: 1 } }));
    assert.is(response.headers.get('Content-Type'), 'application/json');
    const { json, outputs } = await outputsOf(response);
    assert.equal([json.model_name, json.model_version, json.id], [split.rest, '1', id]);
    assert.equal(Object.keys(outputs), ['scores', 'exit_index', 'exit_confidence']);
    assert.equal([outputs.scores!.shape, outputs.scores!.datatype], [[3, 5], 'FP32']);
    assert.equal([outputs.exit_index!.shape, outputs.exit_index!.datatype], [[3], 'INT64']);
    const scores = Float32Array.from(outputs.scores!.data!);
    expectAnswers(three.map((_, n) => ({
      scores: scores.slice(5 * n, 5 * n + 5),
      exit: outputs.exit_index!.data![n]!,
      confidence: outputs.exit_confidence!.data![n]!,
    })), expected.slice(0, 3)); // biome-ignore format: as it is read
  }
  const wanted = [
    { name: 'exit_index' },
    { name: 'scores', parameters: { binary_data: true } },
  ];
  const { json, outputs } = await outputsOf(await infer(server.url, split.rest, requestOf(sentOf(three), { outputs: wanted })));
  assert.equal(Object.keys(outputs), ['exit_index', 'scores']);
  assert.not('id' in json);
  assert.equal(outputs.exit_index!.data, expected.slice(0, 3).map(({ exit }) => exit));
  assert.is(outputs.scores!.bytes!.length, 3 * 5 * 4);
}); // biome-ignore format: one line

test('FP16 goes as FP32 where there are no bytes, and where the caller says so', async () => {
  const values = Float32Array.from(noise(2 * FEATURES, 4), (v) => fromHalf(toHalf(v)));
  const input = { name: 'features', shape: [2, FEATURES] };
  const ways: Sent[] = [
    { ...input, datatype: 'FP16', bytes: Uint16Array.from(values, toHalf) },
    { ...input, datatype: 'FP32', bytes: values },
    { ...input, datatype: 'FP32', data: [...values] },
    { ...input, datatype: 'FP16', data: [...values] },
  ];
  const answers = [];
  for (const way of ways) {
    const { outputs } = await outputsOf(await infer(server.url, split.half, requestOf([way])));
    assert.equal([outputs.scores!.datatype, outputs.scores!.shape], ['FP32', [2, 5]]);
    answers.push(outputs.scores!.data!);
  }
  const asked = requestOf([ways[0]!], { parameters: { binary_data_output: true } });
  const { scores } = (await outputsOf(await infer(server.url, split.half, asked))).outputs;
  assert.is(scores!.datatype, 'FP16');
  answers.push([...new Uint16Array(Uint8Array.from(scores!.bytes!).buffer)].map(fromHalf));
  for (const answer of answers) assert.equal(answer, answers[0]);
  assert.ok(new Set(answers[0]).size > 5);
});

test('16-bit numbers are those of IEEE 754', () => {
  for (let bits = 0; bits < 2 ** 16; bits++) {
    const value = fromHalf(bits);
    if (!Number.isNaN(value)) assert.is(toHalf(value), bits);
  }
  const known = [[65504, 0x7bff], [65519.9, 0x7bff], [65520, 0x7c00], [2 ** -24, 1], [2 ** -25, 0], [0.1, 0x2e66]] as const;
  for (const [value, bits] of known) assert.equal([toHalf(value), toHalf(-value)], [bits, bits | 0x8000]);
  // Between two neighbours the even one.
  for (let bits = 0; bits < 0x7bff; bits += 7) {
    const middle = (fromHalf(bits) + fromHalf(bits + 1)) / 2;
    assert.is(toHalf(middle), bits + (bits % 2));
  }
}); // biome-ignore format: one line

test('samples of many requests run together, those that stay in play meet again, and each request gets its own', async () => {
  // Only a full batch runs here.
  const patient = await start(split.folder, '--max-batch', '16', '--max-wait-ms', '60000', '--client-share', '1');
  const groups = [1, 7, 3, 2, 3].map((size, n, sizes) => {
    const from = sizes.slice(0, n).reduce((sum, other) => sum + other, 0);
    return { from, to: from + size };
  });
  const answers = await Promise.all(groups.map(({ from, to }) => answersOf(patient.url, split.rest, SAMPLES.slice(from, to))));
  for (const [n, { from, to }] of groups.entries()) expectAnswers(answers[n]!, expected.slice(from, to));
  const survivors = expected.slice(0, 16).filter(({ exit }) => exit > 0).length;
  const count = (name: string, part: number, network: string, own = '') =>
    metric(patient, `offramp_part_${name}{model="${split.rest}",part="${part}",network="${network}"${own}}`);
  assert.ok(survivors > 0 && survivors < 16);
  assert.equal([await count('batch_size_count', 1, 'first_1'), await count('batch_size_sum', 1, 'first_1')], [1, 16]);
  assert.equal([await count('batch_size_count', 2, 'original'), await count('batch_size_sum', 2, 'original')], [1, survivors]);
  assert.is(await count('survivors_total', 1, 'first_1'), survivors);
  assert.is(await count('survivors_total', 2, 'original'), 0);
  assert.is(await count('batch_size_bucket', 1, 'first_1', ',le="8"'), 0);
  assert.is(await count('batch_size_bucket', 1, 'first_1', ',le="16"'), 1);
  assert.is(await count('batch_size_bucket', 1, 'first_1', ',le="+Inf"'), 1);
  assert.is(await count('queue_seconds_count', 2, 'original'), survivors);
  patient.process.kill('SIGKILL');
}); // biome-ignore format: one line

test('with --max-batch 1 each sample runs alone', async () => {
  const alone = await start(split.folder, '--max-batch', '1', '--threads', '1');
  expectAnswers(await answersOf(alone.url, split.rest, SAMPLES.slice(0, 9)), expected.slice(0, 9));
  assert.is(
    await metric(alone, `offramp_part_batch_size_count{model="${split.rest}",part="1",network="first_1"}`),
    9,
  );
  alone.process.kill('SIGKILL');
});

test('with --workers 2 each has the models, and answers stay those of their requests', async () => {
  const two = await start(split.folder, '--workers', '2', '--max-batch', '4', '--client-share', '1');
  const from = Array.from({ length: 20 }, (_, n) => 3 * n);
  const answers = await Promise.all(from.map((n) => answersOf(two.url, split.rest, SAMPLES.slice(n, n + 3))));
  for (const [i, n] of from.entries()) expectAnswers(answers[i]!, expected.slice(n, n + 3));
  const exit = once(two.process, 'exit');
  two.process.kill('SIGTERM');
  assert.equal(await exit, [0, null]);
});

test('who has left is not asked about by the parts that come', async () => {
  const patient = await start(
    split.folder,
    '--max-batch',
    '16',
    '--max-wait-ms',
    '60000',
    '--client-share',
    '1',
  );
  const leaves = new AbortController();
  const left = answersOf(patient.url, split.rest, SAMPLES.slice(0, 6), leaves.signal).catch(() => 'left');
  await until(async () => (await metric(patient, 'offramp_waiting_samples')) === 6);
  leaves.abort();
  assert.is(await left, 'left');
  expectAnswers(await answersOf(patient.url, split.rest, SAMPLES.slice(6, 16)), expected.slice(6, 16));
  const survivors = (all: readonly Answered[]) => all.filter(({ exit }) => exit > 0).length;
  assert.ok(survivors(expected.slice(0, 6)) > 0);
  const second = `{model="${split.rest}",part="2",network="original"}`;
  assert.is(await metric(patient, `offramp_part_batch_size_sum${second}`), survivors(expected.slice(6, 16)));
  assert.is(await metric(patient, 'offramp_open_requests'), 0);
  patient.process.kill('SIGKILL');
});

test('numbers that a model fails at fail nobody else', async () => {
  writeWords(join(root, 'words'));
  // Only a full batch runs here.
  const patient = await start(join(root, 'words'), '--max-batch', '4', '--max-wait-ms', '60000', '--client-share', '1');
  const ask = (...ids: number[]) => infer(patient.url, 'words', requestOf([{ name: 'ids', datatype: 'INT64', shape: [ids.length / 2, 2], data: ids }]));
  const [good, bad, other] = (await Promise.all([ask(1, 2), ask(3, 99), ask(4, 0, 2, 2)])) as [Response, Response, Response];
  assert.equal((await outputsOf(good)).outputs.scores!.data, [10, 20]);
  assert.equal((await outputsOf(other)).outputs.scores!.data, [40, 0, 20, 20]);
  assert.equal([bad.status, await bad.json()], [500, { error: 'internal error' }]);
  assert.is(await metric(patient, 'offramp_open_requests'), 0);
  patient.process.kill('SIGKILL');
}); // biome-ignore format: one line

test('a model that takes so many samples a run, no more and no less, is asked request by request', async () => {
  const values = Uint16Array.from(noise(2 * FEATURES, 4), toHalf);
  const ask = (model: string, count: number) =>
    infer(server.url, model, requestOf([{ name: 'features', datatype: 'FP16', shape: [count, FEATURES], bytes: values.subarray(0, count * FEATURES) }]));
  const answers = await Promise.all([split.pairs, split.pairs, split.half].map(async (model) => (await outputsOf(await ask(model, 2))).outputs.scores));
  for (const answer of answers) assert.equal(answer, answers[0]);
  assert.is(await metric(server, `offramp_part_batch_size_count{model="${split.pairs}",part="1",network="original"}`), 2);
  assert.match(await (await ask(split.pairs, 1)).text(), 'inputs[0].shape: [1,8], where the model takes [2,8]');
}); // biome-ignore format: one line

test('while a model runs, others are answered', async () => {
  writeSlow(join(root, 'slow'));
  const busy = await start(join(root, 'slow'), '--max-batch', '64');
  const request = requestOf([{ name: 'features', datatype: 'FP32', shape: [64, 512], bytes: noise(64 * 512, 1) }]);
  /** The longest that others wait, as a share of the time that the run takes. */
  async function longestWait(): Promise<number> {
    let isDone = false;
    const began = performance.now();
    const answer = infer(busy.url, 'slow', request).finally(() => (isDone = true));
    let longest = 0;
    for (let last = performance.now(); !isDone; last = performance.now()) {
      await (await fetch(`${busy.url}/health`)).text();
      longest = Math.max(longest, performance.now() - last);
    }
    assert.is((await answer).status, 200);
    return longest / (performance.now() - began);
  }
  // On a busy machine anybody waits now and then.
  const waits: number[] = [];
  while (waits.length < 8 && !waits.some((share) => share < 1 / 3)) waits.push(await longestWait());
  assert.ok(waits.some((share) => share < 1 / 3), waits.join());
  busy.process.kill('SIGKILL');
}); // biome-ignore format: one line

test('every bad request is answered with what is wrong with it, and where', async () => {
  const two = sentOf(SAMPLES.slice(0, 2));
  const [pixels, state] = sentOf(SAMPLES.slice(0, 2), false) as [Sent, Sent];
  const [pixelBytes, stateBytes] = two as [Sent, Sent];
  const withNaN = stateBytes.bytes as Float32Array;
  const raw = (headers: Record<string, string>, body: string | Uint8Array) => ({ headers, body });
  const good = requestOf(two);
  const headed = (length: string) => raw({ ...good.headers, 'Inference-Header-Content-Length': length }, good.body);
  const cases: [status: number, said: string, { headers: Record<string, string>; body: string | Uint8Array }, model?: string][] = [
    [400, 'body: no JSON: ', raw({}, '')],
    [400, 'body: no JSON: ', raw({}, '{"inputs": [')],
    [400, 'body: no JSON: ', raw({}, '['.repeat(50_000))],
    [400, 'body: must be an object', raw({}, '[]')],
    [400, 'inputs: must be a list', raw({}, '{}')],
    [400, 'inputs[0]: must be an object', raw({}, '{"inputs": [null]}')],
    [400, 'inputs[0].name: no input "toString"; there are pixels, policy_state', requestOf([{ ...pixels, name: 'toString' }, state])],
    [400, 'inputs[2].name: pixels is there twice', requestOf([pixels, state, pixels])],
    [400, 'inputs: policy_state missing', requestOf([pixels])],
    [400, 'id: must be a string', requestOf([pixels, state], { id: 7 })],
    [400, 'inputs[0].shape: must be a list', requestOf([{ ...pixels, shape: 'big' as never }, state])],
    [400, 'inputs[0].shape: [2,3,4,5], where the model takes [-1,3,4,4]', requestOf([{ ...pixels, shape: [2, 3, 4, 5] }, state])],
    [400, 'inputs[0].shape: [2,48], where', requestOf([{ ...pixels, shape: [2, 48] }, state])],
    [400, 'inputs[0].shape: [0,3,4,4], where', requestOf([{ ...pixels, shape: [0, 3, 4, 4], data: [] }, state])],
    [400, 'inputs[0].shape: [-2,3,4,4], where', requestOf([{ ...pixels, shape: [-2, 3, 4, 4] }, state])],
    [400, 'inputs[0].shape: [1.5,3,4,4], where', requestOf([{ ...pixels, shape: [1.5, 3, 4, 4] }, state])],
    [400, 'inputs[0].shape: ["2",3,4,4], where', requestOf([{ ...pixels, shape: ['2', 3, 4, 4] as never }, state])],
    [400, 'inputs[0].data: fewer numbers than its shape has, 48000000000000', requestOf([{ ...pixels, shape: [1e12, 3, 4, 4] }, state])],
    [400, 'inputs[1].datatype: "FP64", where the model takes FP32', requestOf([pixels, { ...state, datatype: 'FP64' }])],
    [400, 'inputs[1].datatype: nothing, where the model takes FP32', requestOf([pixels, { ...state, datatype: undefined as never }])],
    [400, 'inputs[0].data: must be a list', requestOf([{ ...pixels, data: 'AAAA' }, state])],
    [400, 'inputs[0].data[1]: 256 is no UINT8', requestOf([{ ...pixels, data: [0, 256] }, state])],
    [400, 'inputs[0].data[0]: 0.5 is no UINT8', requestOf([{ ...pixels, data: [0.5] }, state])],
    [400, 'inputs[1].data[1]: "1" is no FP32', requestOf([pixels, { ...state, data: [1, '1', 1, 1] }])],
    [400, 'inputs[1].data[2]: null is no FP32', requestOf([pixels, { ...state, data: [0, 0, Number.NaN, 0] }])],
    [400, 'inputs[1].data[0]: 1e+39 is no FP32', requestOf([pixels, { ...state, data: [1e39, 0, 0, 0] }])],
    [400, 'inputs[1].data: 3 numbers, where its shape has 4', requestOf([pixels, { ...state, data: [0, 0, 0] }])],
    [400, 'inputs[1].data: 5 numbers, where its shape has 4', requestOf([pixels, { ...state, data: [0, 0, 0, 0, 0] }])],
    [400, 'inputs[1].data: lists in lists, more than', requestOf([pixels, { ...state, data: [[[0]]] }])],
    [400, 'inputs: 2 samples of pixels, but 1 of policy_state', requestOf([pixels, { ...state, shape: [1, 2], data: [0, 0] }])],
    [400, 'inputs[1].data: sample 1 holds NaN or an infinity', requestOf([pixelBytes, { ...stateBytes, bytes: withNaN.map((v, n) => (n === 2 ? Number.NaN : v)) }])],
    [400, 'inputs[1].data: sample 1 holds NaN or an infinity', requestOf([pixelBytes, { ...stateBytes, bytes: withNaN.map((v, n) => (n === 2 ? Number.POSITIVE_INFINITY : v)) }])],
    [400, 'inputs[0].data: sample 1 holds NaN or an infinity', requestOf([{ name: 'features', datatype: 'FP16', shape: [2, FEATURES], bytes: new Uint16Array(2 * FEATURES).fill(0xfe00, 9) }]), split.half],
    [400, 'inputs[0].data[0]: 65520 is no FP16', requestOf([{ name: 'features', datatype: 'FP16', shape: [1, FEATURES], data: Array(FEATURES).fill(65520) }]), split.half],
    [400, 'Inference-Header-Content-Length: x, where', headed('x')],
    [400, 'Inference-Header-Content-Length: -1, where', headed('-1')],
    [400, 'Inference-Header-Content-Length: 1e2, where', headed('1e2')],
    [400, `Inference-Header-Content-Length: ${good.body.length + 1}, where the body has ${good.body.length} bytes`, headed(String(good.body.length + 1))],
    [400, 'body: no JSON: ', headed('0')],
    [400, 'body: no JSON: ', headed('7')],
    [400, 'inputs[1].parameters.binary_data_size: 16 bytes, where the body has 15 left', raw(good.headers, good.body.subarray(0, -1))],
    [400, 'body: 1 bytes too many', raw(good.headers, Buffer.concat([good.body, Buffer.alloc(1)]))],
    [400, 'inputs[0].parameters.binary_data_size: 95 bytes, where its shape has 96', requestOf([{ ...pixelBytes, bytes: new Uint8Array(95) }, stateBytes])],
    [400, 'inputs[0].data: there beside binary_data_size', requestOf([{ ...pixels, bytes: new Uint8Array(96) }, stateBytes])],
    [400, 'outputs: must be a list', requestOf(two, { outputs: {} })],
    [400, 'outputs[0].name: no output "logits"; there are scores, exit_index, exit_confidence', requestOf(two, { outputs: [{ name: 'logits' }] })],
    [400, 'outputs[1].name: scores is there twice', requestOf(two, { outputs: [{ name: 'scores' }, { name: 'scores' }] })],
    [400, 'outputs[0].parameters: classification is not supported', requestOf(two, { outputs: [{ name: 'scores', parameters: { classification: 2 } }] })],
    [413, 'inputs: 65 samples; a request may have 64 at most', requestOf(sentOf(samplesOf(65)))],
    [413, `a request for ${split.rest} in JSON may have `, raw({}, ' '.repeat(200_000))],
    [415, 'content-encoding gzip is not supported', raw({ ...good.headers, 'Content-Encoding': 'gzip' }, good.body)],
  ];
  for (const [status, text, request, model = split.rest] of cases) {
    const response = await infer(server.url, model, request);
    const { error } = (await response.json()) as { error: string };
    assert.is(response.status, status, `${text}, not ${error}`);
    assert.ok(error.startsWith(text), `${text}, not ${error}`);
  }
  expectAnswers(await answersOf(server.url, split.rest, SAMPLES.slice(0, 2)), expected.slice(0, 2));
}); // biome-ignore format: a table

test('a model that is not there is refused with those that are, and with why', async () => {
  const refused = async (path: string, init = {}) => {
    const response = await fetch(server.url + path, init);
    return [response.status, ((await response.json()) as { error: string }).error] as const;
  };
  const there = `there are ${split.rest}, ${split.half}, ${split.pairs}`;
  const other = 'tiny_rest_0123456789ab';
  assert.equal(await refused(`/v2/models/${other}/infer`, { method: 'POST', body: '{}' }), [
    404,
    `no model "${other}"; ${there}. The last twelve digits are of the model itself: this client and this server come from different splits`,
  ]);
  assert.equal(await refused('/v2/models/tiny/ready'), [404, `no model "tiny"; ${there}`]);
  assert.equal(await refused(`/v2/models/${split.rest}/versions/2`), [404, `${split.rest} has no version 2; there is 1`]);
  assert.equal(await refused('/v2/models/%ff'), [400, '%ff is no part of a URL']);
  assert.is((await refused('/v2/nothing'))[0], 404);
  assert.equal(await refused(`/v2/models/${split.rest}/infer`), [405, `/v2/models/${split.rest}/infer takes POST`]);
  assert.is((await refused('/classify', { method: 'POST' }))[0], 404);
}); // biome-ignore format: one line

test('pages of the origins that were named may ask, others may not', async () => {
  const ask = (method: string, origin: string, headers = {}) =>
    fetch(`${server.url}/v2`, { method, headers: { Origin: origin, ...headers } });
  for (const origin of ['https://app.example', 'http://localhost:5173']) {
    const asked = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type, inference-header-content-length' };
    const preflight = await ask('OPTIONS', origin, asked);
    assert.is(preflight.status, 200);
    assert.is(preflight.headers.get('Access-Control-Allow-Origin'), origin);
    assert.match(preflight.headers.get('Access-Control-Allow-Methods')!, 'POST');
    assert.is(preflight.headers.get('Access-Control-Allow-Headers'), asked['Access-Control-Request-Headers']);
    const answer = await ask('GET', origin);
    assert.is(answer.headers.get('Access-Control-Allow-Origin'), origin);
    assert.match(answer.headers.get('Access-Control-Expose-Headers')!, 'Inference-Header-Content-Length');
    assert.is(answer.headers.get('Vary'), 'Origin');
  }
  const stranger = await ask('OPTIONS', 'https://evil.example', { 'Access-Control-Request-Method': 'POST' });
  assert.is(stranger.status, 403);
  assert.is((await ask('GET', 'https://evil.example')).headers.get('Access-Control-Allow-Origin'), null);
  // Errors too, or the page could not say what is wrong.
  const bad = await fetch(`${server.url}/v2/models/none`, { headers: { Origin: 'https://app.example' } });
  assert.is(bad.headers.get('Access-Control-Allow-Origin'), 'https://app.example');
  const closed = await fetch(`${whole.url}/v2`, { method: 'OPTIONS', headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' } });
  assert.is(closed.status, 405);
}); // biome-ignore format: one line

test('tensors that take too long to arrive are refused with 408', async () => {
  const hasty = await start(split.folder, '--body-timeout-ms', '300');
  const { headers, body } = requestOf(sentOf(SAMPLES.slice(0, 1)));
  const upload = httpRequest(`${hasty.url}/v2/models/${split.rest}/infer`, { method: 'POST', headers: { ...headers, 'Content-Length': body.length } });
  upload.on('error', () => {});
  upload.write(body.subarray(0, 20));
  const [response] = await once(upload, 'response');
  assert.is(response.statusCode, 408);
  response.resume();
  hasty.process.kill('SIGKILL');
}); // biome-ignore format: one line

test('places are counted by samples: too many of one address are refused with 429, of all with 503', async () => {
  const full = await start(split.folder, '--max-batch', '16', '--max-wait-ms', '60000', '--max-queue', '16');
  const shared = await start(split.folder, '--max-batch', '16', '--max-wait-ms', '60000', '--max-queue', '12', '--client-share', '1');
  for (const [busy, status] of [[full, 429], [shared, 503]] as const) {
    const waiting = answersOf(busy.url, split.rest, SAMPLES.slice(0, 6));
    await until(async () => (await metric(busy, 'offramp_waiting_samples')) === 6);
    const refused = await infer(busy.url, split.rest, requestOf(sentOf(SAMPLES.slice(0, 7))));
    assert.is(refused.status, status);
    assert.is(refused.headers.get('Retry-After'), '1');
    const exit = once(busy.process, 'exit');
    busy.process.kill('SIGTERM');
    expectAnswers(await waiting, expected.slice(0, 6));
    assert.equal(await exit, [0, null]);
  }
}); // biome-ignore format: one line

test('a compiled package is there by its name, and at each operating point', async () => {
  const { TinyResidual } = await import(pathToFileURL(join(root, 'whole', 'index.js')).href);
  const model = await TinyResidual.load(ort);
  const own = 3 * SIDE * SIDE;
  const values = noise(16 * own, 11).map((v, n) => (2 * v * (1 + Math.floor(n / own))) / 16);
  const names = ['tiny-residual', ...POINTS.map(({ name }) => `tiny-residual_${name}`)];
  const exits = new Set<number>();
  for (const [n, name] of names.entries()) {
    const at = n === 0 ? 'fast' : POINTS[n - 1]!.name;
    const results: { index: number; exit: number; confidence: number; exitId: string }[] = await model.classify(values, { at });
    const input = { name: 'image', datatype: 'FP32', shape: [16, 3, SIDE, SIDE], bytes: values };
    const { outputs } = await outputsOf(await infer(whole.url, name, requestOf([input])));
    for (const [i, result] of results.entries()) {
      const scores = outputs.scores!.data!.slice(5 * i, 5 * i + 5);
      const exit = outputs.exit_index!.data![i]!;
      exits.add(exit);
      assert.is(scores.indexOf(Math.max(...scores)), result.index, `${name}, sample ${i}`);
      assert.is(exit === 3 ? 'full' : `exit_${exit + 1}`, result.exitId);
      assert.ok(Math.abs(outputs.exit_confidence!.data![i]! - result.confidence) < 1e-5);
    }
  }
  await model.release();
  assert.ok(exits.size > 1, [...exits].join());
  const { inputs, outputs } = (await said(whole, '/v2/models/tiny-residual')) as { inputs: unknown; outputs: { name: string }[] };
  assert.equal(inputs, [{ name: 'image', datatype: 'FP32', shape: [-1, 3, SIDE, SIDE] }]);
  assert.equal(outputs.map(({ name }) => name), ['scores', 'exit_index', 'exit_confidence']);
}); // biome-ignore format: one line

test('a package with its thresholds in the model is there by its name only', async () => {
  await writePackage(join(root, 'baked'), undefined, POINTS[0]!.thresholds);
  const baked = await start(join(root, 'baked'));
  assert.equal(await said(baked, '/v2/models/other'), { error: 'no model "other"; there are tiny-residual' });
  const values = noise(3 * 3 * SIDE * SIDE, 11);
  const image = { name: 'image', datatype: 'FP32', shape: [3, 3, SIDE, SIDE], bytes: values };
  const [here, there] = await Promise.all([[baked, 'tiny-residual'], [whole, 'tiny-residual_fast']].map(async ([server, name]) =>
    (await outputsOf(await infer((server as Server).url, name as string, requestOf([image])))).outputs));
  assert.equal(here!.exit_index, there!.exit_index);
  for (const [n, score] of here!.scores!.data!.entries()) assert.ok(Math.abs(score - there!.scores!.data![n]!) < 1e-5);
  baked.process.kill('SIGKILL');
}); // biome-ignore format: one line

test('a folder whose parts are not what its manifest says is refused at the start', async () => {
  const folder = join(root, 'skewed');
  cpSync(split.folder, folder, { recursive: true });
  const { models } = JSON.parse(readFileSync(join(split.folder, 'manifest.json'), 'utf8'));
  const [model] = models;
  const [first] = model.parts;
  const cases: [object, RegExp][] = [
    [{ ...model, parts: [{ ...first, file: 'gone.onnx' }] }, /gone\.onnx/],
    [{ ...model, parts: [{ ...first, file: join(split.folder, first.file) }] }, /1\.onnx: it lies outside/],
    [{ ...model, parts: [{ ...first, file: `../${basename(split.folder)}/${first.file}` }] }, /1\.onnx: it lies outside/],
    [{ ...model, parts: [{ ...first, sha256: '0'.repeat(64) }] }, /1\.onnx is not the file that manifest\.json tells of/],
    [{ ...model, parts: [{ ...first, outputs: ['logits'] }] }, /1\.onnx is not what manifest\.json says: it has no logits/],
    [{ ...model, inputs: model.inputs.slice(0, 1) }, /1\.onnx takes policy_state, which no request and no part before it gives/],
    [{ ...model, inputs: model.inputs.map((input: object) => ({ ...input, shape: [4, 2] })) }, /takes 4 samples a run: .* needs it in one part/],
    [{ ...model, inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }] }, /this server does not know the type of text, BYTES/],
  ];
  for (const [bad, problem] of cases) {
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ models: [bad] }));
    const child = launch(folder);
    let text = '';
    child.stderr!.on('data', (chunk) => (text += chunk));
    assert.equal(await once(child, 'close'), [1, null]);
    assert.match(text, problem);
  }
}); // biome-ignore format: one line

test('SIGTERM in the middle of many requests: whoever was connected is answered', async () => {
  const busy = await start(split.folder, '--client-share', '1', '--max-queue', '4096');
  let isStopped = false;
  const outcomes: string[] = [];
  const clients = Array.from({ length: 24 }, async (_, n) => {
    while (!isStopped) {
      let isIn = false;
      try {
        const answer = askOnce(busy.port, split.rest, SAMPLES.slice(n, n + 3), () => (isIn = !isStopped));
        expectAnswers(await answer, expected.slice(n, n + 3));
        outcomes.push('answered');
      } catch (error) {
        if (isIn) outcomes.push(`connected, then ${(error as Error).message}`);
      }
    }
  });
  await until(() => outcomes.length > 100);
  const exit = once(busy.process, 'exit');
  isStopped = true;
  busy.process.kill('SIGTERM');
  await Promise.all(clients);
  assert.equal(new Set(outcomes), new Set(['answered']));
  assert.equal(await exit, [0, null]);
});

test('killed and started again under load: every call is answered or fails, none hangs, none gets the rows of another', async () => {
  let current = await start(split.folder, '--client-share', '1');
  const { port } = current;
  let isOver = false;
  const counts = { answered: 0, failed: 0 };
  const answeredBy: number[] = [];
  const clients = Array.from({ length: 8 }, async (_, n) => {
    for (let at = n; !isOver; at = (at + 5) % 60) {
      // A call that hangs fails the test: by its name, which no other failure has.
      const signal = AbortSignal.timeout(20_000);
      try {
        const answers = await answersOf(current.url, split.rest, SAMPLES.slice(at, at + 4), signal);
        expectAnswers(answers, expected.slice(at, at + 4));
        counts.answered++;
      } catch (error) {
        if (error instanceof assert.Assertion || (error as Error).name === 'TimeoutError') throw error;
        counts.failed++;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  });
  const all = Promise.all(clients);
  for (let restart = 0; restart < 3; restart++) {
    const before = counts.answered;
    await Promise.race([until(() => counts.answered > before + 50), all]);
    answeredBy.push(counts.answered - before);
    current.process.kill('SIGKILL');
    const failed = counts.failed;
    await Promise.race([until(() => counts.failed > failed), all]);
    current = await start(split.folder, '--client-share', '1', '--port', String(port));
  }
  const before = counts.answered;
  await Promise.race([until(() => counts.answered > before + 50), all]);
  isOver = true;
  await all;
  assert.ok(
    counts.failed > 0 && answeredBy.every((count) => count > 50),
    JSON.stringify([counts, answeredBy]),
  );
  current.process.kill('SIGKILL');
});

test.run();

/** The JSON of what is at `path`. */
const said = async ({ url }: Server, path: string) => (await fetch(url + path)).json() as Promise<unknown>;

/** What shares a run may move the last digits. */
function expectAnswers(answers: readonly Answered[], wanted: readonly Answered[]): void {
  assert.equal(answers.map(({ exit }) => exit), wanted.map(({ exit }) => exit)); // biome-ignore format: one line
  for (const [n, { scores, confidence }] of answers.entries()) {
    assert.ok(Math.abs(confidence - wanted[n]!.confidence) < 1e-5, `sample ${n}`);
    assert.ok(scores.every((score, k) => Math.abs(score - wanted[n]!.scores[k]!) < 1e-4), `sample ${n}`); // biome-ignore format: one line
  }
}

/** The answers over a connection of its own; `onConnect` is called when it is there. */
async function askOnce(port: number, model: string, samples: Parameters<typeof sentOf>[0], onConnect: () => void): Promise<Answered[]> {
  const { headers, body } = requestOf(sentOf(samples));
  const request = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: `/v2/models/${model}/infer`, agent: false, headers: { ...headers, 'Content-Length': body.length } });
  request.on('socket', (socket) => socket.once('connect', onConnect));
  request.end(body);
  const [message] = await once(request, 'response');
  let text = '';
  for await (const chunk of message.setEncoding('utf8')) text += chunk;
  if (message.statusCode !== 200) throw new Error(text);
  const { outputs } = JSON.parse(text) as { outputs: { name: string; data: number[] }[] };
  const [scores, exits, confidences] = ['scores', 'exit_index', 'exit_confidence'].map((name) => outputs.find((output) => output.name === name)!.data) as [number[], number[], number[]];
  return samples.map((_, n) => ({ scores: Float32Array.from(scores.slice(5 * n, 5 * n + 5)), exit: exits[n]!, confidence: confidences[n]! }));
} // biome-ignore format: one line
