/** What a file says besides its graph is in the emitted model, and a model-local function is called from inside a branch. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph, Node } from '../../src/graph/types.ts';
import { subgraphs } from '../../src/graph/walk.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { readFields } from '../../src/parser/wire.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { tinyResidual } from '../models.ts';
import { int, len, message, node } from '../parser/proto.ts';
import { byHand, prepare, runLowered, samples } from './by-hand.ts';

const test = suite('nothing lost');

/** Fields of ModelProto, FunctionProto and NodeProto (onnx.proto). */
const MODEL = { opset: 8, metadata: 14, docString: 6, trainingInfo: 20, function: 25 };
const FUNCTION = { name: 1, input: 4, output: 5, node: 7, opset: 9, domain: 10 };
const NODE_METADATA = 9;

const FUNCTION_BYTES = message(
  len(FUNCTION.name, 'Twice'),
  len(FUNCTION.input, 'a'),
  len(FUNCTION.output, 'b'),
  len(FUNCTION.node, node('Add', ['a', 'a'], ['b'])),
  len(FUNCTION.opset, message(len(1, ''), int(2, 17))),
  len(FUNCTION.domain, 'local'),
);

/** The residual net with everything a file may say beside it; its last block goes through a function of the model's own. */
function annotated() {
  const plain = tinyResidual();
  const last = plain.graph.nodes.findIndex((n) => n.outputs[0] === 'block3');
  const nodes = [...plain.graph.nodes];
  nodes[last] = { ...nodes[last]!, outputs: ['block3/half'] };
  const call: Node = {
    opType: 'Twice',
    domain: 'local',
    name: 'call',
    inputs: ['block3/half'],
    outputs: ['block3'],
    attributes: {},
  };
  nodes.splice(last + 1, 0, call);
  return message(
    serializeModel({ ...plain, graph: { ...plain.graph, nodes } }),
    len(MODEL.docString, 'why this model is'),
    len(MODEL.opset, message(len(1, 'local'), int(2, 1))),
    len(MODEL.metadata, message(len(1, 'author'), len(2, 'somebody'))),
    len(MODEL.trainingInfo, message()),
    len(MODEL.function, FUNCTION_BYTES),
  );
}

test('doc string, metadata, opsets, training info and functions are those of the original, and provenance is added', async () => {
  const original = parseModel(annotated());
  const { typed, heads } = await prepare(original);
  const emitted = serializeModel(
    lowerExits(typed, heads, { policy: 'max-prob', metadata: { 'offramp.version': '1' } }),
  );
  const before = readFields(annotated());
  const after = readFields(emitted);
  for (const number of [MODEL.docString, MODEL.opset, MODEL.trainingInfo, MODEL.function]) {
    const of = (fields: typeof before) =>
      fields.filter((f) => f.number === number).map((f) => [...f.payload]);
    assert.ok(of(before).length > 0);
    assert.equal(of(after), of(before), `field ${number}`);
  }
  assert.equal(parseModel(emitted).metadataProps, [
    { key: 'author', value: 'somebody' },
    { key: 'offramp.version', value: '1' },
  ]);
});

test('a function of the model is called inside a branch', async () => {
  const { typed, heads } = await prepare(parseModel(annotated()));
  const model = lowerExits(typed, heads, { policy: 'max-prob' });
  const calls = (graph: Graph): number =>
    graph.nodes.reduce(
      (sum, n) => sum + Number(n.opType === 'Twice') + subgraphs(n).reduce((s, g) => s + calls(g), 0),
      0,
    );
  assert.is(calls(model.graph), 1);
  const hand = await byHand(typed, heads, samples);
  const got = await runLowered(parseModel(serializeModel(model)), samples, 7, [1, 1, 1]);
  const largest = Math.max(...hand.logits[3]!.map(Math.abs));
  for (const [i, score] of got.scores.entries())
    assert.ok(Math.abs(score - hand.logits[3]![i]!) < 1e-5 * largest);
});

test('metadata of nodes that move into a branch goes with them', async () => {
  const plain = tinyResidual();
  const bytes = serializeModel(plain);
  const graph = readFields(bytes).find((f) => f.number === 7)!;
  const entry = message(len(1, 'from'), len(2, 'line 7'));
  const fields = readFields(graph.payload).map((f) =>
    f.number === 1 ? len(1, message(f.payload, len(NODE_METADATA, entry))) : len(f.number, f.payload),
  );
  const rest = readFields(bytes).filter((f) => f.number !== 7);
  const file = message(
    ...rest.map((f) => (f.number === 1 ? int(1, 8) : len(f.number, f.payload))),
    len(7, message(...fields)),
  );
  const { typed, heads } = await prepare(parseModel(file));
  const emitted = Buffer.from(serializeModel(lowerExits(typed, heads, { policy: 'max-prob' })));
  const needle = Buffer.from(len(NODE_METADATA, entry));
  let found = 0;
  for (let at = emitted.indexOf(needle); at >= 0; at = emitted.indexOf(needle, at + 1)) found++;
  assert.is(found, plain.graph.nodes.length);
});

test.run();
