import { writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect } from '../../src/commands/inspect.ts';
import { GraphBuilder, makeModel, makeNode, makeValue } from '../../src/graph/builder.ts';
import type { Model } from '../../src/graph/types.ts';
import { refuseEndless } from '../../src/model/endless.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('models that never answer');
const { at, remove } = tinyProject('endless');
test.after(remove);

/** A classifier whose logits go round a Loop, `turns` times, or for ever; as the branch of an If where `isNested`. */
function looping(turns: number | undefined, isNested = false): Model {
  const net = tinyResidual({ seed: 4 });
  const [output] = net.graph.outputs;
  const body = new GraphBuilder();
  body.inputs.push(
    makeValue('turn', 'int64', []),
    makeValue('goes_on', 'bool', []),
    makeValue('state', 'float', ['N', 5]),
  );
  body.outputs.push(makeValue('still', 'bool', []), makeValue('next', 'float', ['N', 5]));
  body.nodes.push(makeNode('Identity', ['goes_on'], ['still']), makeNode('Neg', ['state'], ['next']));
  const around = new GraphBuilder();
  const limit = turns === undefined ? '' : around.int64(turns);
  const attributes = { body: { type: 'GRAPH' as const, value: body.build('body') } };
  const loop = {
    ...makeNode('Loop', [limit, around.bool(true), output!.name], ['round']),
    name: 'the_loop',
    attributes,
  };
  const made = around.build('around');
  const branch = {
    ...made,
    nodes: [loop],
    initializers: [],
    outputs: [makeValue('round', 'float', ['N', 5])],
  };
  const chosen = around.bool(true);
  const nested = {
    ...makeNode('If', [chosen], ['answer']),
    attributes: {
      then_branch: { type: 'GRAPH' as const, value: branch },
      else_branch: { type: 'GRAPH' as const, value: branch },
    },
  };
  const whole = around.build('around');
  const nodes = isNested ? [nested] : [...whole.nodes, loop, makeNode('Identity', ['round'], ['answer'])];
  return {
    ...net,
    graph: {
      ...net.graph,
      nodes: [...net.graph.nodes, ...nodes],
      initializers: [...net.graph.initializers, ...whole.initializers],
      outputs: [makeValue('answer', 'float', ['N', 5])],
    },
  };
}

test('a Loop that never ends is refused, also inside a branch; the process goes with it', async () => {
  for (const isNested of [false, true]) {
    const error = await rejectsWith('model-endless', () =>
      refuseEndless(looping(undefined, isNested), {}, 3),
    );
    assert.match(error.message, /in 3 seconds: its Loop "the_loop" may never end/);
  }
});

test('one that ends is no matter, however often it turns', async () => {
  for (const turns of [2, 10_000]) {
    await refuseEndless(looping(turns), {});
    writeFileSync(at('loop.onnx'), serializeModel(looping(turns)));
    assert.is((await inspect({ model: at('loop.onnx'), output: 'answer' })).classes, 5);
  }
});

test('a model without a Loop is not run, and one that cannot be run is not called endless', async () => {
  await refuseEndless(makeModel(tinyResidual({ seed: 4 }).graph), {}, 0);
  const broken = looping(2);
  const nodes = broken.graph.nodes.map((node) =>
    node.opType === 'Conv' ? { ...node, opType: 'Nonsense' } : node,
  );
  await refuseEndless({ ...broken, graph: { ...broken.graph, nodes } }, {}, 30);
});

test.run();
