/** Split packages give what their two parts say one after the other. */
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pixels as drawn } from '../data/fixtures.ts';
import { flat, rejection, samples, subject } from './split-client.ts';
import { type Kind, SIZE } from './split-parts.ts';

const test = suite('emit: a split asks its server');

const POINTS = ['fast', 'balanced', 'exact'] as const;
const KINDS: Readonly<Record<string, Kind>> = {
  'pixels of pictures': {},
  'the tensor, and the state of the policy': { input: 'floats', state: true },
  'features alone': { input: 'none', feature: 'float' },
  'features of 8 bits beside pixels': { feature: 'int8', state: true },
  'features and scores of float16': { input: 'none', feature: 'float16', scores: 'float16' },
  'one sample at a time': { batch: 1, state: true },
};

for (const [name, kind] of Object.entries(KINDS)) {
  for (const isBinary of [true, false]) {
    test(`${name}, ${isBinary ? 'as bytes' : 'in JSON'}: bit by bit what the parts say by hand`, async () => {
      const { module, server, byHand, close } = await subject(kind);
      if (!isBinary) server.metadata = { name: 'fake', extensions: ['statistics'] };
      const model = await module.Pets.load(ort, { server: server.url });
      for (const batch of kind.batch === 1 ? [1] : [1, 2, 7, 64]) {
        for (const at of POINTS) {
          const input = samples(batch, batch + 1);
          const results = await model.classify(input, { at });
          const expected = await byHand(input, at);
          assert.equal(
            results.map(({ exit, where, scores, confidence }) => ({
              exit,
              where,
              scores: [...scores],
              confidence,
            })),
            expected.map(({ exit, where, scores, confidence }) => ({ exit, where, scores, confidence })),
            `${batch} at ${at}`,
          );
        }
      }
      const { statistics } = model;
      assert.ok(statistics.asked > 0 && statistics.unanswered === 0);
      assert.is(statistics.problem, undefined);
      if (kind.batch !== 1)
        assert.is(new Set(statistics.counts.map((count) => count > 0)).size, 1, 'all exits');
      assert.ok(server.requests.every((request) => request.isBinary === isBinary));
      const types = new Set(server.requests.flatMap(({ inputs }) => inputs.map(({ datatype }) => datatype)));
      assert.not(types.has('BYTES'));
      assert.is(types.has('FP16'), isBinary && kind.feature === 'float16');
      await model.release();
      await close();
    });
  }
}

test('pictures, arrays and tensors are asked about alike; only samples in play travel', async () => {
  const { module, server, close } = await subject();
  const { Pets, preprocess } = module;
  const model = await Pets.load(ort, { server: new URL(`${server.url}/v2/models/pets_rest`) });
  const pictures = [1, 2, 3, 4].map((seed) => ({ data: drawn(4 * 6 * seed, seed), width: 6, height: seed }));
  const expected = await model.classify(preprocess(pictures), { at: 'exact' });
  assert.equal(await model.classify(pictures, { at: 'exact' }), expected);
  const tensor = new ort.Tensor('float32', preprocess(pictures), [4, 3, 2, 2]);
  assert.equal(await model.classify(tensor, { at: 'exact' }), expected);
  const [first, ...others] = server.requests;
  for (const other of others) assert.equal(other.inputs, first!.inputs);
  assert.is(first!.inputs[0]!.bytes.length, 4 * SIZE);
  server.requests.length = 0;
  const results = await model.classify(Float32Array.of(...flat(0), ...flat(255), ...flat(90)), {
    at: 'fast',
  });
  assert.equal(
    results.map(({ where }) => where),
    ['server', 'client', 'server'],
  );
  assert.equal([...server.requests[0]!.inputs[0]!.bytes], [...Array(12).fill(0), ...Array(12).fill(90)]);
  await model.release();
  await close();
});

test('numbers that no pixel becomes are refused before anything is run or asked', async () => {
  const { module, server, close } = await subject();
  const model = await module.Pets.load(ort, { server: server.url });
  const input = Float32Array.of(...flat(255), ...flat(7));
  input[17] = 0.3;
  const error = await rejection(model.classify(input, { at: 'fast' }));
  assert.instance(error, RangeError);
  assert.match(error.message, `input "pixels": element 17, ${Math.fround(0.3)}, is no pixel`);
  assert.is(model.statistics.samples, 0);
  assert.is(server.requests.length + server.others.length, 0);
  await model.release();
  await close();
});

test('no samples get an empty list, and ask nothing', async () => {
  const { module, server, close } = await subject();
  const model = await module.Pets.load(ort, { server: server.url });
  assert.equal([...(await model.classify([]))], []);
  assert.is(server.others.length, 0);
  await model.release();
  await close();
});

test('calls of one tick share a request, those at another point another; each gets its own, in order', async () => {
  const { module, server, byHand, close } = await subject({ state: true, feature: 'float' });
  const model = await module.Pets.load(ort, { server: server.url });
  const inputs = Array.from({ length: 12 }, (_, i) => samples(1 + (i % 3), i + 1));
  const order: number[] = [];
  const answers = await Promise.all(
    inputs.map(async (input, i) => {
      const results = await model.classify(input, { at: POINTS[i % 2]! });
      order.push(i);
      return results.map(({ exit, where, scores }) => ({ exit, where, scores: [...scores] }));
    }),
  );
  for (const [i, input] of inputs.entries()) {
    const expected = await byHand(input, POINTS[i % 2]!);
    assert.equal(
      answers[i],
      expected.map(({ exit, where, scores }) => ({ exit, where, scores })),
    );
  }
  assert.is(server.requests.length, 2);
  assert.is(order.length, 12);
  assert.equal(server.others, ['GET /v2'], 'what the server can do is asked once');
  await model.release();
  await close();
});

test('a large batch is asked for in several requests, a few at a time', async () => {
  const { module, server, byHand, close } = await subject();
  const model = await module.Pets.load(ort, { server: server.url, maxBatch: 20, maxInFlight: 2 });
  const input = samples(130, 3);
  const results = await model.classify(input, { at: 'exact' });
  const expected = await byHand(input, 'exact');
  assert.equal(
    results.map(({ scores }) => [...scores]),
    expected.map(({ scores }) => scores),
  );
  const asked = expected.filter(({ where }) => where === 'server').length;
  assert.ok(asked > 60);
  const rows = server.requests.map((request) => request.rows);
  assert.equal(
    rows.toSorted((a, b) => b - a),
    [...Array(Math.floor(asked / 20)).fill(20), asked % 20],
  );
  await model.release();
  await close();
});

test('a model of one sample at a time asks for one row a request, also where calls are made together', async () => {
  const { module, server, byHand, close } = await subject({ batch: 1 });
  const model = await module.Pets.load(ort, { server: server.url, maxInFlight: 2 });
  const inputs = [3, 4, 5, 6, 7].map((seed) => samples(1, seed));
  const results = await Promise.all(inputs.map((input) => model.classify(input, { at: 'exact' })));
  for (const [i, [result]] of results.entries())
    assert.equal([...result.scores], (await byHand(inputs[i]!, 'exact'))[0]!.scores);
  assert.equal(
    server.requests.map(({ rows }) => rows),
    [1, 1, 1, 1, 1],
  );
  await model.release();
  await close();
});

test('own thresholds are those of a served model behind the split; others are refused by name', async () => {
  const { module, server, close } = await subject();
  const model = await module.Pets.load(ort, { server: server.url });
  await model.classify(flat(0), { thresholds: [0.123, 0.65] });
  await model.classify(flat(0), { thresholds: [0.9, 7] });
  await model.classify(flat(0), { budget: 0.55 });
  const { models } = module.split;
  assert.equal(
    server.requests.map(({ model: name }) => name),
    [models.balanced, models.exact, models.fast],
  );
  const error = await rejection(model.classify(flat(0), { thresholds: [0.5, 0.5] }));
  assert.instance(error, RangeError);
  assert.is(
    error.message,
    'thresholds: those behind the first 1 are built into the served models: [0.25] ("fast"), [0.65] ("balanced"), [1] ("exact"); got [0.5]',
  );
  assert.match(
    (await rejection(model.classify(flat(0), { at: 'quick' as 'fast' }))).message,
    'no operating point "quick"',
  );
  await model.release();
  await close();
});

test('results cost what both parts cost; statistics say what stayed, travelled and took how long', async () => {
  const { module, server, close } = await subject();
  const model = await module.Pets.load(ort, { server: server.url });
  const results = await model.classify(Float32Array.of(...flat(255), ...flat(0), ...flat(0)), { at: 'fast' });
  assert.equal(
    results.map(({ relativeCost, exitId, network }) => [relativeCost, exitId, network]),
    [
      [0.2, 'exit_1', 'first_1'],
      [1.22, 'full', 'original'],
      [1.22, 'full', 'original'],
    ],
  );
  const { statistics } = model;
  assert.ok(Math.abs(statistics.stayed - 1 / 3) < 1e-12);
  assert.equal([statistics.samples, statistics.asked, statistics.unanswered], [3, 2, 0]);
  assert.is(statistics.bytesSent, server.requests[0]!.body.length);
  assert.ok(statistics.bytesReceived > 2 * 24);
  assert.ok(statistics.clientMs.mean > 0 && statistics.serverMs.p95 >= statistics.serverMs.mean);
  const shown = JSON.parse(JSON.stringify(statistics));
  assert.is(shown.asked, 2);
  statistics.reset();
  assert.equal([statistics.samples, statistics.asked, statistics.bytesSent], [0, 0, 0]);
  assert.ok(Number.isNaN(statistics.stayed) && Number.isNaN(statistics.serverMs.p95));
  await model.release();
  await close();
});

test('a governor counts the network: a slow server makes it stay here', async () => {
  const { module, server, close } = await subject();
  const model = await module.Pets.load(ort, { server: server.url });
  server.mood = async (_, answer) => {
    await new Promise((done) => setTimeout(done, 20));
    return answer;
  };
  // Leaves here at `fast` and not at `balanced`.
  const governor = model.governor({ targetLatencyMs: 4, window: 16 });
  const input = flat(143);
  for (let call = 0; call < 60; call++) await governor.classify(input);
  assert.ok(model.statistics.asked > 0, 'it has tried the server');
  assert.ok(governor.average < 20, `${governor.average}`);
  await model.release();
  await close();
});

test.run();
