import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import { floatTensor } from '../src/graph/tensor.ts';

/** Looks rows up in a table of seven. */
export function embedding() {
  const b = new GraphBuilder();
  const table = b.initializer(floatTensor('words', [7, 2], new Float32Array(14)));
  b.output(b.op('Gather', [table, b.input('input_ids', 'int64', ['N', 3])], {}, 'rows'), 'float', [
    'N',
    3,
    2,
  ]);
  return makeModel(b.build('embedding'));
}
