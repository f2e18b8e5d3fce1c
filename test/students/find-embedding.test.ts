import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { floatTensor, numberTensor, toNumbers } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { findEmbedding } from '../../src/students/find-embedding.ts';
import { tinyEncoder, tinyResidual } from '../models.ts';

const test = suite('students: embeddings of the original');

const found = async (graph: Graph, folder = '.') => {
  const { input, vocabulary, table } = (await findEmbedding(graph, folder)) ?? {};
  return input && `${input} ${table ? `${table.dataType} [${table.dims}]` : vocabulary}`;
};

test('the table that token ids are looked up in', async () => {
  assert.is(await found(tinyEncoder(17, 'words').graph), 'input_ids float [64,24]');
  assert.is(await found(tinyEncoder(17, 'pictures').graph), undefined);
  assert.is(await found(tinyResidual().graph), undefined);
});

/** Rows of a table for each of `inputs`. */
function lookups(
  inputs: readonly string[],
  write: (b: GraphBuilder, ids: string, table: string) => string = (b, ids, table) =>
    b.op('Gather', [table, ids]),
): Graph {
  const b = new GraphBuilder();
  inputs.forEach((name, i) => {
    b.input(name, 'int64', ['N', 4]);
    const table = b.initializer(floatTensor(`table${i}`, [7 + i, 2], new Float32Array(14 + 2 * i)));
    b.output(write(b, name, table), 'float', ['N', 4, 2]);
  });
  return b.build('lookups');
}

test('that of input_ids among several, and none of a mask, of types or of positions', async () => {
  assert.is(await found(lookups(['token_type_ids', 'words', 'input_ids'])), 'input_ids float [9,2]');
  assert.is(await found(lookups(['token_type_ids', 'words'])), 'words float [8,2]');
  assert.is(await found(lookups(['token_type_ids', 'attention_mask', 'position_ids'])), undefined);
});

test('ids that are cast and reshaped are the same ids; those that are computed are not', async () => {
  const moved = (b: GraphBuilder, ids: string, table: string) =>
    b.op('Gather', [table, b.op('Reshape', [b.op('Cast', [ids], { to: 6 }), b.int64([-1])])]);
  assert.is(await found(lookups(['ids'], moved)), 'ids float [7,2]');
  const shifted = (b: GraphBuilder, ids: string, table: string) =>
    b.op('Gather', [table, b.op('Add', [ids, b.int64(1)])]);
  assert.is(await found(lookups(['ids'], shifted)), undefined);
  const columns = (b: GraphBuilder, ids: string, table: string) => b.op('Gather', [table, ids], { axis: 1 });
  assert.is(await found(lookups(['ids'], columns)), undefined);
});

test('a table in a Constant, of float16, one that is cast, and the op of ONNX Runtime', async () => {
  const constant = (type: 'float16' | 'int8', ...ops: string[]) =>
    lookups(['ids'], (b, ids) => {
      const value = numberTensor('', type, [3, 2], [1, 2, 3, 4, 5, 6])!;
      const made = (op: string, x: string) =>
        op === 'Cast' ? b.op(op, [x], { to: 1 }) : b.op(op, [x, b.float(0.5)]);
      return b.op('Gather', [ops.reduce((x, op) => made(op, x), b.op('Constant', [], { value })), ids]);
    });
  assert.is(await found(constant('float16')), 'ids float16 [3,2]');
  assert.is(await found(constant('float16', 'Cast')), 'ids float16 [3,2]');
  assert.is(await found(constant('int8')), 'ids 3', 'quantised, made floats behind the lookup');
  assert.is(await found(constant('int8', 'DequantizeLinear')), 'ids 3', 'and before it');
  assert.is(await found(constant('float16', 'Mul')), undefined, 'computed rows');
  const fused = lookups(['ids'], (b, ids, table) => b.op('EmbedLayerNormalization', [ids, '', table, table]));
  const nodes = fused.nodes.map((node) => ({ ...node, domain: 'com.microsoft' }));
  assert.is(await found({ ...fused, nodes }), 'ids float [7,2]');
});

test('a table in a file beside the model is read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'offramp-embedding-'));
  const values = Float32Array.from({ length: 14 }, (_, i) => i / 3);
  writeFileSync(join(folder, 'w.bin'), Buffer.concat([Buffer.alloc(8, 255), Buffer.from(values.buffer)]));
  const graph = lookups(['input_ids']);
  const initializers = graph.initializers.map((tensor) => ({
    ...tensor,
    bytes: new Uint8Array(0),
    external: { location: 'w.bin', offset: 8, length: undefined },
  }));
  const { table } = (await findEmbedding({ ...graph, initializers }, folder))!;
  assert.is(table!.external, undefined);
  assert.equal(toNumbers(table!), [...values]);
  rmSync(folder, { recursive: true });
});

test.run();
