/** Exits by the names of values inside a model, and as elements of sequences. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../src/graph/builder.ts';
import type { Model } from '../../src/graph/types.ts';
import { inspectLoaded } from '../../src/model/inspect.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { giveExits } from '../../src/passes/give-exits.ts';
import { branchyNet } from '../models.ts';
import { leavesAsToldBy } from './as-told.ts';

const test = suite('give-exits');
const hasCode = (code: string) => (error: { code?: string }) => error.code === code;
const INSIDE = ['exit1', 'exit2_logits', 'logits'];
type Join = (b: GraphBuilder) => string;

/** The net of two side branches, whose only output is what `join` makes of `INSIDE`. */
function joined(join: Join, isTensor = false): Model {
  const { graph, ...rest } = branchyNet(17);
  const b = new GraphBuilder('', new Set(graph.nodes.flatMap((n) => n.outputs)));
  const name = join(b);
  const nodes = [...graph.nodes, ...b.nodes];
  const initializers = [...graph.initializers, ...b.initializers];
  const type = { dataType: 'float', dims: undefined } as const;
  // The fields that say "sequence of tensors of float", as a file has them: what is no tensor has no type in our terms.
  const output = isTensor
    ? { name, type }
    : { name, type: undefined, unknownFields: Uint8Array.of(18, 8, 34, 6, 10, 4, 10, 2, 8, 1) };
  return { ...rest, graph: { ...graph, nodes, initializers, outputs: [output] } };
}

const construct: Join = (b) => b.op('SequenceConstruct', INSIDE, {}, 'all');
const stack = (b: GraphBuilder) => {
  const rows = INSIDE.map((name) => b.op('Unsqueeze', [name, b.int64([1])]));
  return b.op('Concat', rows, { axis: 1 }, 'stacked');
};

const SEQUENCES: Record<string, Join> = {
  SequenceConstruct: construct,
  'SequenceInsert, at the end, at a place, and from the end': (b) => {
    const middle = b.op('SequenceInsert', [b.op('SequenceEmpty', []), INSIDE[1]!]);
    const front = b.op('SequenceInsert', [middle, INSIDE[2]!]);
    const twice = b.op('SequenceInsert', [front, INSIDE[2]!, b.int64(-1)]);
    const first = b.op('SequenceInsert', [twice, INSIDE[0]!, b.int64(0)]);
    return b.op('Identity', [b.op('SequenceErase', [first])], {}, 'all');
  },
};

for (const [how, join] of Object.entries(SEQUENCES)) {
  test(`${how}: the sequence's name means its elements in order`, async () => {
    const given = giveExits(joined(join), ['all']);
    assert.equal(given.values, INSIDE);
    assert.equal(given.names, ['all[0]', 'all[1]', 'all[2]']);
    assert.equal(given.replaced, ['all']);
    await leavesAsToldBy(given.model, given.values, ['logits', 'logits', 'logits']);
  });
}

const PARTS: Record<string, readonly [Join, isTensor: boolean]> = {
  'a sequence': [construct, false],
  'what Concat made of exits': [(b) => b.op('Concat', INSIDE, { axis: 1 }, 'all'), true],
  'what a stack made of exits': [(b) => b.op('Identity', [stack(b)], {}, 'all'), true],
  ConcatFromSequence: [
    (b) => b.op('ConcatFromSequence', [b.op('SequenceConstruct', INSIDE)], { axis: 0, new_axis: 1 }, 'all'),
    true,
  ],
  'SplitToSequence of a stack': [
    (b) => b.op('SplitToSequence', [stack(b)], { axis: 1, keepdims: 0 }, 'all'),
    false,
  ],
};

for (const [what, [join, isTensor]] of Object.entries(PARTS)) {
  test(`${what}: parts by their places`, () => {
    const model = joined(join, isTensor);
    const given = giveExits(model, ['all[0]', 'all[2]']);
    assert.equal(given.values, ['exit1', 'logits']);
    assert.equal(given.names, ['all[0]', 'all[2]']);
    assert.equal(
      given.model.graph.outputs.map((v) => v.name),
      ['exit1', 'logits'],
    );
  });
}

test('values inside by their names, beside outputs', async () => {
  const model = joined(construct);
  const given = giveExits(model, INSIDE);
  assert.equal([given.values, given.names, given.replaced], [INSIDE, INSIDE, ['all']]);
  const outputs = ['exit1', 'exit2_logits', 'logits'];
  const beside = giveExits(branchyNet(), outputs);
  assert.equal(beside.replaced, []);
  assert.equal(
    beside.model.graph.outputs.map((v) => v.name),
    ['exit1', 'exit2', 'logits', 'exit2_logits'],
  );
  await leavesAsToldBy(beside.model, outputs, ['logits', 'logits', 'logits']);
  const plain = branchyNet();
  assert.is(giveExits(plain, ['exit1', 'exit2', 'logits']).model, plain);
});

test('elements that SplitToSequence cuts out of one tensor', async () => {
  // Both exits are computed together, of the first convolution.
  const { graph, ...rest } = branchyNet(17);
  const b = new GraphBuilder('', new Set(graph.nodes.flatMap((n) => n.outputs)));
  const both = b.op('Concat', ['exit1', b.op('Neg', ['exit1'])], { axis: 1 });
  const scaled = b.op('Mul', [both, b.float([1, 2, 3, 4, 5, 5, 4, 3, 2, 1])]);
  b.op('SplitToSequence', [scaled, b.int64([5, 5])], { axis: 1 }, 'early');
  const outputs = [{ name: 'early', type: undefined }, ...graph.outputs.slice(2)];
  const model = {
    ...rest,
    graph: {
      ...graph,
      nodes: [...graph.nodes, ...b.nodes],
      initializers: [...graph.initializers, ...b.initializers],
      outputs,
    },
  };
  const given = giveExits(model, ['early', 'logits']);
  assert.is(given.values.length, 3);
  assert.equal(given.replaced, ['early']);
  const { plan } = await leavesAsToldBy(given.model, given.values, ['logits', 'logits', 'logits']);
  assert.is(plan.exits[0]!.tap.value, plan.exits[1]!.tap.value);
});

test('a file is inspected by any of these names, and the notes say what goes', async () => {
  const model = parseModel(serializeModel(joined(construct)));
  const source = { model, sha256: '', folder: '.', externalFiles: [], bytes: new Uint8Array() } as never;
  for (const exitOutputs of [['all'], ['all[0]', 'all[1]', 'all[2]'], INSIDE]) {
    const { typed, plan, notes, exitOutputs: names } = await inspectLoaded(source, { exitOutputs });
    assert.is(typed.output, 'logits');
    assert.equal(
      typed.model.graph.outputs.map((v) => v.name),
      ['logits'],
    );
    assert.is(plan.exits.length, 2);
    assert.equal(names, exitOutputs.length === 1 ? ['all[0]', 'all[1]', 'all[2]'] : exitOutputs);
    assert.equal(
      notes.map((note) => note.code),
      ['inner-output'],
    );
    assert.match(notes[0]!.message, /logits lies inside.*in place of all/);
  }
});

test('a sequence that is taken for the scores is told how it is taken apart', async () => {
  const failed = await observeFacts(joined(construct)).catch((error) => error);
  assert.is(failed.code, 'no-class-scores');
  assert.match(failed.hint, /`exitOutputs: \['all'\]`.*`output: 'logits'`/);
});

test('names that mean nothing are refused with a code', () => {
  const model = joined(construct);
  const refused = (names: readonly string[], code: string, of = model) =>
    assert.throws(() => giveExits(of, names), hasCode(code));
  refused(['nowhere', 'logits'], 'unknown-output');
  refused(['nowhere[0]', 'logits'], 'unknown-output');
  refused(['all[3]', 'logits'], 'unknown-output');
  refused(['all[0]', 'all[0]', 'logits'], 'too-few-exit-outputs');
  refused(['logits[0]', 'logits'], 'exit-elements-unknown');
  const uncounted = joined((b) =>
    b.op('SplitToSequence', [b.op('Identity', ['logits'])], { axis: 1 }, 'all'),
  );
  refused(['all'], 'exit-elements-unknown', uncounted);
  const inside = new GraphBuilder();
  inside.op('SequenceConstruct', INSIDE, {}, 'inside');
  const branch = { ...inside.build('branch'), outputs: [{ name: 'inside', type: undefined }] };
  const other = {
    ...branch,
    nodes: branch.nodes.map((n) => ({ ...n, outputs: ['other'] })),
    outputs: [{ name: 'other', type: undefined }],
  };
  const hidden = joined((b) =>
    b.op('If', [b.bool(true)], { then_branch: branch, else_branch: other }, 'all'),
  );
  refused(['all'], 'exit-elements-unknown', hidden);
  refused(['all[0]', 'logits'], 'exit-elements-unknown', hidden);
});

test.run();
